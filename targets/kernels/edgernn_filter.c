#include "edgernn_sensor.h"

#define BITS 30

void edgernn_filter(const edgernn_filter_t *f, edgernn_filter_state_t *states, int32_t count,
                    int32_t *x) {
  for (int32_t i = 0; i < count; i++) {
    edgernn_filter_state_t *const s = &states[i];
    const int64_t total = (int64_t)f->b0 * (x[i] + s->x2) + f->b1 * s->x1 - f->a1 * s->y1 -
                          (int64_t)f->a2 * s->y2 + (int64_t)f->c1 * s->e1 +
                          (int64_t)f->c2 * s->e2;
    s->x2 = s->x1;
    s->x1 = x[i];
    s->y2 = s->y1;
    s->y1 = edgernn_sensor_clamp(total >> BITS);
    s->e2 = s->e1;
    s->e1 = (int32_t)(total & ((1 << BITS) - 1));
    x[i] = s->y1;
  }
}
