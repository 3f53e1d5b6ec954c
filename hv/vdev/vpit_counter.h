/*
 * Between vpit.c and vpit_counter.c only: one counter of the 8254.
 *
 * `tick` is the present in ticks of the PIT's clock. vpit_counter_advance comes before every other
 * call at a new tick, so that those may look at the current period only.
 */
#pragma once

#include "hv/vdev/vpit.h"

/* The access bits of the control word. */
enum { PIT_LATCH = 0, PIT_LOW_BYTE = 1, PIT_HIGH_BYTE = 2, PIT_BOTH_BYTES = 3 };

/* Modes 2 and 3: loads what was written meanwhile, and moves start to the current period. */
void vpit_counter_advance(struct vpit_counter *c, uint64_t tick);
bool vpit_counter_output(const struct vpit_counter *c, uint64_t tick);
/* Tick of the next rising edge that the counter makes by itself, UINT64_MAX when none. */
uint64_t vpit_counter_next_rise(const struct vpit_counter *c, uint64_t tick);
/* A count goes from the latch into the counter at the next tick. */
void vpit_counter_load(struct vpit_counter *c, uint32_t period, uint64_t tick);
/* The counter's port. */
void vpit_counter_write(struct vpit_counter *c, uint8_t v, uint64_t tick);
uint8_t vpit_counter_read(struct vpit_counter *c, uint64_t tick);
/* Latches that are still to be read stay as they are. */
void vpit_counter_latch_count(struct vpit_counter *c, uint64_t tick);
void vpit_counter_latch_status(struct vpit_counter *c, uint64_t tick);
/* A rising gate starts or restarts the count, a falling one stops it (modes 1, 5: no effect). */
void vpit_counter_set_gate(struct vpit_counter *c, bool gate, uint64_t tick);
