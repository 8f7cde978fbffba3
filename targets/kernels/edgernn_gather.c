#include "edgernn_gather.h"

void edgernn_gather(const edgernn_gather_t *gather, const int32_t *indices, const void *x,
                    void *y) {
  const uint8_t *from = (const uint8_t *)x;
  uint8_t *to = (uint8_t *)y;
  for (int32_t outer = 0; outer < gather->outer; outer++) {
    for (int32_t i = 0; i < gather->count; i++) {
      const int32_t at = edgernn_clamp(indices[i], 0, gather->length - 1);
      for (int32_t k = 0; k < gather->bytes; k++) {
        *to++ = from[at * gather->bytes + k];
      }
    }
    from += gather->length * gather->bytes;
  }
}
