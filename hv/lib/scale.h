/*
 * From one clock to another: ticks at `from` Hz as ticks at `to` Hz, by multiplication alone.
 *
 * Used by the devices that count at a rate of their own (PIT, RTC, PM timer) and get their time
 *from the TSC. The ratio is kept rounded up, as a whole number and 64 bits of fraction, so that a
 *result never falls short of the exact one, and exceeds it by less than 1 + x / 2^64. Therefore
 *	scale(up, scale(down, n)) >= n
 * where up and down are the two directions: a deadline that was computed with `down` is always due
 * when it is reached.
 */
#pragma once

#include "hv/types.h"

struct scale {
	uint64_t whole, fraction;
};

/* from is not 0. For set-up: 64 steps of long division, as 128 bits by 64 are not to be had. */
static inline struct scale scale_make(uint64_t from, uint64_t to)
{
	struct scale s = {.whole = to / from, .fraction = 0};
	uint64_t rest = to % from;

	for (unsigned bit = 0; bit < 64; bit++) {
		bool carry = rest >> 63;

		rest <<= 1;
		s.fraction <<= 1;
		if (carry || rest >= from) {
			rest -= from;
			s.fraction |= 1;
		}
	}
	/* Cannot overflow: the remainder is at most from - 1, and from is below 2^64. */
	s.fraction += rest != 0;
	return s;
}

/* Monotonous in x. The product is one MUL: nothing of libgcc is needed. */
static inline uint64_t scale(const struct scale *s, uint64_t x)
{
	return x * s->whole + (uint64_t)(((unsigned __int128)x * s->fraction) >> 64);
}

/* The first x that is sure to give at least n in the other direction. */
static inline uint64_t scale_deadline(const struct scale *back, uint64_t n)
{
	return scale(back, n) + 1;
}
