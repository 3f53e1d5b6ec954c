/*
 * The verb "refuse": boot and configuration return false and keep the first cause in words.
 *
 * A cause names the place (file:line:col, an offset, a register) and, where one is known, what the
 * reader can do about it. The caller at the top prints it and nothing is started.
 */
#pragma once

#include "hv/types.h"

struct refusal {
	char text[320]; /* empty: nothing was refused */
};

/* Keeps the first cause only. Always returns false, so that `return refuse(r, ...)` reads well. */
bool refuse(struct refusal *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
