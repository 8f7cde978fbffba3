#include "link.h"

#include "startup.h"
#include "uart.h"

#define SYNC 0xA5u
#define CRC_START 0xFFFFu

static uint16_t crc_add(uint16_t crc, uint8_t byte) {
  uint32_t value = crc ^ (uint32_t)byte << 8;
  for (int bit = 0; bit < 8; bit++) {
    value = value & 0x8000u ? value << 1 ^ 0x1021u : value << 1;
  }
  return (uint16_t)value;
}

static uint8_t get(uint16_t *crc) {
  const uint8_t byte = uart_get();
  *crc = crc_add(*crc, byte);
  return byte;
}

static void put(uint8_t byte, uint16_t *crc) {
  *crc = crc_add(*crc, byte);
  uart_put(byte);
}

uint8_t link_receive(uint8_t *payload, size_t capacity, size_t *size) {
  for (;;) {
    uint16_t crc = CRC_START;
    uint32_t length = 0;
    while (uart_get() != SYNC) {
    }
    const uint8_t kind = get(&crc);
    for (int i = 0; i < 4; i++) {
      length |= (uint32_t)get(&crc) << (8 * i);
    }
    if (length > capacity) {
      link_error(LINK_BAD_SIZE);
      continue;
    }
    for (size_t i = 0; i < length; i++) {
      payload[i] = get(&crc);
    }
    const uint32_t low = uart_get();
    const uint32_t high = uart_get();
    if ((high << 8 | low) == crc) {
      *size = length;
      return kind;
    }
    link_error(LINK_BAD_CRC);
  }
}

void link_send(uint8_t kind, const uint8_t *payload, size_t size) {
  uint16_t crc = CRC_START;
  uart_put(SYNC);
  put(kind, &crc);
  for (int i = 0; i < 4; i++) {
    put((uint8_t)((uint32_t)size >> (8 * i)), &crc);
  }
  for (size_t i = 0; i < size; i++) {
    put(payload[i], &crc);
  }
  uart_put((uint8_t)(crc & 0xFFu));
  uart_put((uint8_t)(crc >> 8));
}

void link_error(link_error_t error) {
  const uint8_t code = (uint8_t)error;
  link_send(LINK_ERROR, &code, 1);
}

void fault(void) { link_error(LINK_FAULT); }
