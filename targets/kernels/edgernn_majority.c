#include "edgernn_majority.h"

#define NO_VOTE 255

void edgernn_majority_reset(const edgernn_majority_t *m, edgernn_majority_state_t *s,
                            uint8_t *votes, int32_t *counts) {
  const edgernn_majority_state_t first = {0, 0, 0, 0, -1, -1, 0, 0};
  *s = first;
  for (int32_t i = 0; i < m->window; i++) {
    votes[i] = NO_VOTE;
  }
  for (int32_t i = 0; i < m->count; i++) {
    counts[i] = 0;
  }
}

static int32_t first_largest(const int32_t *values, int32_t count) {
  int32_t best = 0;
  for (int32_t i = 1; i < count; i++) {
    best = values[i] > values[best] ? i : best;
  }
  return best;
}

/* The mean of the believed label's scores, rounded down. */
static int32_t mean(const edgernn_majority_state_t *s) {
  const int64_t count = s->scores > 0 ? s->scores : 1;
  const int64_t quotient = s->total / count;
  return (int32_t)(quotient - (s->total < quotient * count));
}

static void add(edgernn_majority_state_t *s, int32_t score) {
  s->total += score;
  s->scores++;
}

static edgernn_event_t event(int32_t label, int32_t score, int64_t start_us, int64_t end_us,
                             int32_t phase) {
  edgernn_event_t e;
  e.label = label;
  e.score = score;
  e.start_us = start_us;
  e.end_us = end_us;
  e.phase = phase;
  return e;
}

/* The end of what was believed, and the beginning of something else. */
static int32_t turn(const edgernn_majority_t *m, edgernn_majority_state_t *s, int32_t winner,
                    int32_t votes, int64_t time_us, edgernn_event_t *events) {
  int32_t written = 0;
  if (s->believed >= 0 && !m->ignored[s->believed]) {
    events[written++] = event(s->believed, mean(s), s->start_us, s->since_us, 0);
  }
  if (!m->ignored[winner]) {
    events[written++] = event(winner, votes * 32768 / m->window, s->since_us, time_us, 1);
  }
  s->believed = winner;
  s->candidate = -1;
  s->start_us = s->since_us;
  s->total = 0;
  s->scores = 0;
  return written;
}

int32_t edgernn_majority_push(const edgernn_majority_t *m, edgernn_majority_state_t *s,
                              uint8_t *votes, int32_t *counts, const int32_t *scores,
                              int64_t time_us, edgernn_event_t *events) {
  const int32_t vote = first_largest(scores, m->count);
  const uint8_t old = votes[s->oldest];
  votes[s->oldest] = (uint8_t)vote;
  s->oldest = s->oldest + 1 < m->window ? s->oldest + 1 : 0;
  counts[vote]++;
  if (old != NO_VOTE) {
    counts[old]--;
  }
  const int32_t winner = first_largest(counts, m->count);
  if (winner == s->believed) {
    s->candidate = -1;
    add(s, scores[winner]);
    return 0;
  }
  if (winner != s->candidate) {
    s->candidate = winner;
    s->led = 0;
    s->since_us = time_us;
  }
  if (++s->led < m->minimum) {
    if (s->believed >= 0) {
      add(s, scores[s->believed]);
    }
    return 0;
  }
  const int32_t written = turn(m, s, winner, counts[winner], time_us, events);
  add(s, scores[winner]);
  return written;
}
