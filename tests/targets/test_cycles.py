import pytest

from targets.cycles import COSTS, Kind, decode, estimate
from targets.elf import Image


@pytest.mark.parametrize(
    ("words", "kind", "registers", "size"),
    [
        ((0x6808, 0), Kind.LOAD, 1, 2),  # ldr r0, [r1]
        ((0x6008, 0), Kind.STORE, 1, 2),  # str r0, [r1]
        ((0x7808, 0), Kind.LOAD, 1, 2),  # ldrb r0, [r1]
        ((0x5488, 0), Kind.STORE, 1, 2),  # strb r0, [r1, r2]
        ((0x5688, 0), Kind.LOAD, 1, 2),  # ldrsb r0, [r1, r2]
        ((0x4801, 0), Kind.LOAD, 1, 2),  # ldr r0, [pc, #4]
        ((0x9001, 0), Kind.STORE, 1, 2),  # str r0, [sp, #4]
        ((0xB570, 0), Kind.MULTIPLE, 4, 2),  # push {r4, r5, r6, lr}
        ((0xBDF0, 0), Kind.MULTIPLE, 5, 2),  # pop {r4-r7, pc}
        ((0xC90C, 0), Kind.MULTIPLE, 2, 2),  # ldm r1!, {r2, r3}
        ((0xE92D, 0x4FF0), Kind.MULTIPLE, 9, 4),  # push {r4-r11, lr}
        ((0xE9D1, 0x2300), Kind.MULTIPLE, 2, 4),  # ldrd r2, r3, [r1]
        ((0xF8D1, 0x0010), Kind.LOAD, 1, 4),  # ldr.w r0, [r1, #16]
        ((0xF8C1, 0x0010), Kind.STORE, 1, 4),  # str.w r0, [r1, #16]
        ((0x4348, 0), Kind.OTHER, 0, 2),  # muls r0, r1, r0
        ((0xFB00, 0xF001), Kind.OTHER, 0, 4),  # mul r0, r0, r1
        ((0xFB00, 0x2001), Kind.MULTIPLY_ADD, 0, 4),  # mla r0, r0, r1, r2
        ((0xFB20, 0x2001), Kind.MULTIPLY_ADD, 0, 4),  # smlad r0, r0, r1, r2
        ((0xFB82, 0x0103), Kind.LONG_MULTIPLY, 0, 4),  # smull r0, r1, r2, r3
        ((0xFBC2, 0x0103), Kind.LONG_MULTIPLY, 0, 4),  # smlal r0, r1, r2, r3
        ((0xFB90, 0xF0F1), Kind.DIVIDE, 0, 4),  # sdiv r0, r0, r1
        ((0xFBB0, 0xF0F1), Kind.DIVIDE, 0, 4),  # udiv r0, r0, r1
        ((0xD1FE, 0), Kind.BRANCH, 0, 2),  # bne
        ((0x4770, 0), Kind.BRANCH, 0, 2),  # bx lr
        ((0xB108, 0), Kind.BRANCH, 0, 2),  # cbz r0
        ((0xF000, 0xF800), Kind.BRANCH, 0, 4),  # bl
        ((0xEE30, 0x0A81), Kind.VECTOR, 0, 4),  # vadd.f32 s0, s1, s2
        ((0x1840, 0), Kind.OTHER, 0, 2),  # adds r0, r0, r1
    ],
)
def test_instructions_are_told_apart(words, kind, registers, size):
    got, count, length = decode(*words)
    assert (got, length) == (kind, size)
    if kind is Kind.MULTIPLE:
        assert count == registers


def image(*halfwords: int) -> Image:
    code = b"".join(word.to_bytes(2, "little") for word in halfwords)
    return Image(((0x100, code, len(code)),), {}, {}, ())


def test_a_loop_is_counted_by_class():
    # ldr, ldr (overlaps the first), adds, bne back to the start.
    code = image(0x6808, 0x6849, 0x1840, 0xD1FB)
    once = [0x100, 0x102, 0x104, 0x106]
    assert estimate(once, code, "cortex-m4") == 2 + 1 + 1 + 1
    assert estimate(once * 2, code, "cortex-m4") == 2 * 5 + 2
    assert estimate(once, code, "cortex-m0") == 2 + 2 + 1 + 1


def test_a_skipped_conditional_instruction_is_no_branch():
    code = image(0x1840, 0x4249, 0x1840)
    assert estimate([0x100, 0x104], code, "cortex-m3") == 2


def test_a_core_without_a_table_has_no_estimate():
    assert "host" not in COSTS
    assert estimate([0x100], image(0x1840), "host") is None
