/*
 * What of a guest's output may go to a terminal that it shares with the log and other guests. Pure;
 * terminal.c is the caller and owns the state.
 *
 * Text goes through, and of ECMA-48 what stays within the guest's own line: colours, and what
 * shells edit a line with. Everything else is dropped, because it would let a guest write over
 * other lines, change the terminal for all (modes, title, clipboard), or make it answer: answers
 * look like typing, and go to whichever guest gets what is typed.
 */
#pragma once

#include "hv/types.h"

enum { FILTER_MOST = 48 /* bytes of a sequence that goes through */ };

struct filter {
	uint8_t state;
	uint8_t held[FILTER_MOST]; /* a sequence, or the first byte of a character */
	uint8_t len;
	uint8_t more; /* bytes that the UTF-8 character still wants */
};

/* Bytes to go on with in place of this one, in out: all or nothing of a sequence. */
unsigned filter_byte(struct filter *f, uint8_t byte, uint8_t out[FILTER_MOST]);

/* Is this, which came from filter_byte, a sequence that sets colours, and which leaves none? */
bool filter_is_colour(const uint8_t *sequence, unsigned n);
bool filter_is_plain(const uint8_t *sequence, unsigned n);
/* Its first number; 0: none is given. */
unsigned filter_number(const uint8_t *sequence, unsigned n);
