"""Exports built by the tools they are for, or by those tools with stand-ins for what they bring."""

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from targets import qemu
from targets.exports import export
from tests.targets.exported import host_program, motion, plain, run

ARM = "arm-none-eabi-gcc"
PASSED = "edgernn motion: self-test passed, 12 steps"


def needs(*commands, package):
    missing = [command for command in commands if shutil.which(command) is None]
    reason = f"{', '.join(missing)} missing; install with: apt-get install {package}"
    return pytest.mark.skipif(bool(missing), reason=reason)


needs_cmake = needs("cmake", "make", "gcc", package="cmake make gcc")
needs_arm = needs(ARM, package="gcc-arm-none-eabi libnewlib-arm-none-eabi")
needs_qemu = needs(qemu.COMMAND, package="qemu-system-arm")
needs_cxx = needs("g++", package="g++")


def cmake(folder: Path, *options: str, env=None) -> Path:
    """Configure and build with every warning an error; returns the build folder."""
    build = folder / "build"
    flags = ("-DCMAKE_C_FLAGS=-Werror", *options)
    run("cmake", "-S", folder, "-B", build, *flags, env=env)
    run("cmake", "--build", build, env=env)
    return build


# CMake


@needs_cmake
@pytest.mark.slow
def test_cmake_here(tmp_path):
    export(motion(), "cmake", tmp_path / "p", name="motion")
    build = cmake(tmp_path / "p")
    assert "100% tests passed" in run("ctest", "--test-dir", build)
    assert run(build / "motion_app").splitlines() == [PASSED, "end of the samples"]


@needs_cmake
@needs_arm
@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("board", ["mps2-an386", "netduinoplus2"])
def test_cmake_with_gcc_boots_in_qemu(tmp_path, board):
    export(motion(), "cmake", tmp_path / "p", name="motion")
    tools = "-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake"
    build = cmake(tmp_path / "p", f"-DBOARD={board}", tools, "-DMOTION_SEMIHOSTING=ON")
    assert PASSED in run("ctest", "--test-dir", build, "--verbose")


@needs_cmake
@needs_qemu
@pytest.mark.slow
def test_cmake_with_zig_boots_in_qemu_with_the_kernels_of_its_core(tmp_path):
    pytest.importorskip("ziglang")
    export(plain(), "cmake", tmp_path / "p", name="plain", target="cortex-m4")
    tools = ("-DCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake", f"-DZIG_PYTHON={sys.executable}")
    build = cmake(tmp_path / "p", "-DBOARD=mps2-an386", *tools, "-DPLAIN_SEMIHOSTING=ON")
    assert "edgernn plain: self-test passed" in run("ctest", "--test-dir", build, "--verbose")
    assert (tmp_path / "p/model/edgernn_fully_connected_s16_dsp.c").is_file()


@needs_cmake
@needs_arm
@needs_qemu
@pytest.mark.slow
def test_a_wrong_result_fails_the_test_in_qemu(tmp_path):
    export(motion(), "cmake", tmp_path / "p", name="motion")
    path = tmp_path / "p/model/motion_selftest.c"
    text = path.read_text()
    head = "golden_outputs[36] = {\n    "
    start = text.index(head) + len(head)
    end = text.index(",", start)
    wrong = 5 if text[start:end] != "5" else 6
    path.write_text(f"{text[:start]}{wrong}{text[end:]}")
    tools = "-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake"
    build = cmake(tmp_path / "p", "-DBOARD=netduinoplus2", tools, "-DMOTION_SEMIHOSTING=ON")
    done = subprocess.run(
        ["ctest", "--test-dir", str(build), "--verbose"], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "self-test FAILED at step 1 of 12" in done.stdout


@needs_cmake
def test_cmake_names_the_boards_it_knows(tmp_path):
    export(plain(), "cmake", tmp_path / "p", name="plain", target="cortex-m4")
    for options, says in (([], "choose a board with"), (["-DBOARD=uno"], "no board uno here")):
        command = ["cmake", "-S", str(tmp_path / "p"), "-B", str(tmp_path / "b"), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
        assert says in " ".join(done.stderr.split())


# Arduino and PlatformIO

_ARDUINO = """\
#pragma once
#include <stdint.h>
#include <stdio.h>
struct Port {
  void begin(unsigned long) {}
  void print(const char *text) { fputs(text, stdout); }
  explicit operator bool() const { return true; }
  bool operator!() const { return false; }
};
extern Port Serial;
inline unsigned long millis() { return 0; }
"""

_CALLER = """\
Port Serial;
void setup();
void loop();
int main() {
  setup();
  for (int i = 0; i < 3; i++) {
    loop();
  }
}
"""


def sketch(folder: Path, library: Path, main: Path, hook: Path) -> list[str]:
    """What a sketch prints: the library as C, the sketch as C++, as the Arduino builder does."""
    (folder / "Arduino.h").write_text(_ARDUINO)
    (folder / "sketch.cpp").write_text(f'#include "Arduino.h"\n{main.read_text()}{_CALLER}')
    includes = [f"-I{folder}", f"-I{library}"]
    objects = []
    for source in library.glob("*.c"):
        objects.append(folder / f"{source.name}.o")
        run(
            "gcc",
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Werror",
            *includes,
            "-c",
            source,
            "-o",
            objects[-1],
        )
    sources = [folder / "sketch.cpp", hook]
    run(
        "g++", "-std=gnu++11", "-Wall", "-Werror", *includes, *sources, *objects, "-o", folder / "a"
    )
    return run(folder / "a").splitlines()


@needs_cxx
@pytest.mark.slow
def test_the_arduino_sketch_compiles_and_runs(tmp_path):
    export(motion(), "arduino", tmp_path / "p", name="motion")
    example = tmp_path / "p/examples/motion_stream"
    main, hook = example / "motion_stream.ino", example / "sensor.cpp"
    assert sketch(tmp_path, tmp_path / "p/src", main, hook) == [PASSED, "end of the samples"]


@needs_cxx
@pytest.mark.slow
def test_the_platformio_project_compiles_and_packs(tmp_path):
    folder = tmp_path / "p"
    export(motion(), "platformio", folder, name="motion")
    library = folder / "lib/motion"
    main, hook = folder / "src/main.cpp", folder / "src/sensor.cpp"
    assert sketch(tmp_path, library / "src", main, hook) == [PASSED, "end of the samples"]
    pytest.importorskip("platformio", reason="platformio is missing: pip install platformio")
    from platformio.package.pack import PackagePacker

    package = PackagePacker(str(library)).pack(str(tmp_path / "motion.tar.gz"))
    assert "src/motion_app.h" in run("tar", "tzf", package)


# ESP-IDF

_IDF = """\
macro(project name)
  _project(${name} C)
  file(WRITE ${CMAKE_BINARY_DIR}/start.c "void app_main(void);\\nint main(void) { app_main(); }\\n")
  file(GLOB folders ${CMAKE_SOURCE_DIR}/components/* ${CMAKE_SOURCE_DIR}/main)
  add_executable(${name}.elf ${CMAKE_BINARY_DIR}/start.c)
  foreach(COMPONENT_DIR ${folders})
    get_filename_component(COMPONENT_LIB ${COMPONENT_DIR} NAME)
    add_subdirectory(${COMPONENT_DIR})
  endforeach()
  target_link_libraries(${name}.elf main)
endmacro()
function(idf_component_register)
  cmake_parse_arguments(A "" "" "SRCS;INCLUDE_DIRS;REQUIRES" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${A_UNPARSED_ARGUMENTS}")
  endif()
  add_library(${COMPONENT_LIB} STATIC ${A_SRCS})
  target_include_directories(${COMPONENT_LIB} PUBLIC ${A_INCLUDE_DIRS} PRIVATE $ENV{IDF_PATH})
  target_link_libraries(${COMPONENT_LIB} PUBLIC ${A_REQUIRES})
endfunction()
"""


@needs_cmake
@pytest.mark.slow
def test_the_esp_idf_project_builds_with_a_stand_in(tmp_path):
    export(motion(), "esp-idf", tmp_path / "p", name="motion")
    idf = tmp_path / "idf"
    (idf / "tools/cmake").mkdir(parents=True)
    (idf / "tools/cmake/project.cmake").write_text(_IDF)
    (idf / "freertos").mkdir()
    (idf / "freertos/FreeRTOS.h").write_text("#include <stdint.h>\n")
    (idf / "freertos/task.h").write_text("static inline void vTaskDelay(uint32_t t) { (void)t; }\n")
    environment = {"IDF_PATH": str(idf), "PATH": "/usr/bin:/bin"}
    build = cmake(tmp_path / "p", env=environment)
    assert run(build / "motion.elf").splitlines() == [PASSED, "end of the samples"]


# Zephyr

_ZEPHYR = """\
project(Zephyr C)
file(STRINGS prj.conf LINES REGEX "^CONFIG_")
foreach(LINE ${LINES})
  string(REGEX MATCH "^([A-Z0-9_]+)=(.*)$" _ ${LINE})
  set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE $ENV{ZEPHYR_BASE}/include)
file(WRITE ${CMAKE_BINARY_DIR}/empty.c "typedef int nothing;\\n")
add_library(app OBJECT ${CMAKE_BINARY_DIR}/empty.c)
target_link_libraries(app PUBLIC zephyr_interface)
add_executable(zephyr_final ${CMAKE_BINARY_DIR}/empty.c)
target_link_libraries(zephyr_final app)
function(zephyr_include_directories)
  foreach(D ${ARGN})
    target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/${D})
  endforeach()
endfunction()
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  target_link_libraries(${name} PUBLIC zephyr_interface)
  target_link_libraries(app PUBLIC ${name})
endmacro()
function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
foreach(MODULE ${ZEPHYR_EXTRA_MODULES})
  file(STRINGS ${MODULE}/zephyr/module.yml NAMED REGEX "^name: ")
  string(REPLACE "name: " "" NAMED ${NAMED})
  add_subdirectory(${MODULE} modules/${NAMED})
endforeach()
"""


@needs_cmake
@pytest.mark.slow
def test_the_zephyr_module_builds_with_a_stand_in(tmp_path):
    export(motion(), "zephyr", tmp_path / "p", name="motion")
    base = tmp_path / "zephyr"
    (base / "include/zephyr/sys").mkdir(parents=True)
    (base / "ZephyrConfig.cmake").write_text(_ZEPHYR)
    (base / "include/zephyr/kernel.h").write_text("static inline void k_yield(void) {}\n")
    (base / "include/zephyr/sys/printk.h").write_text("#include <stdio.h>\n#define printk printf\n")
    environment = {"ZEPHYR_BASE": str(base), "PATH": "/usr/bin:/bin"}
    build = cmake(tmp_path / "p/samples/stream", env=environment)
    assert run(build / "zephyr_final").splitlines() == [PASSED, "end of the samples"]


# CMSIS-Pack


@needs_arm
@pytest.mark.slow
def test_the_pack_compiles_for_arm_and_runs_here(tmp_path):
    folder = tmp_path / "p"
    export(motion(), "cmsis-pack", folder, name="motion", target="cortex-m33")
    root = ET.parse(folder / "edgernn.motion.pdsc").getroot()
    assert [rule.get("Dcore") for rule in root.iter("accept")] == ["Cortex-M33"]
    sources = [f.get("name") for f in root.iter("file") if f.get("category") == "source"]
    flags = "-mcpu=cortex-m33 -mthumb -std=c99 -O2 -Wall -Wextra -Wconversion -Werror -Isrc".split()
    run(ARM, *flags, *sources, "--specs=nosys.specs", "-o", "a.elf", cwd=folder)
    export(motion(), "cmsis-pack", tmp_path / "any", name="motion")
    files = list((tmp_path / "any").rglob("*.c"))
    program = host_program(tmp_path, files, [tmp_path / "any/src"])
    assert run(program).splitlines() == [PASSED, "end of the samples"]
