/*
 * The hypervisor's own words: each line goes to the log ring and to every console there is.
 *
 * Callable on every CPU, before and after the consoles are up. Lines of different CPUs do not mix.
 * Never called on a path that a guest can repeat at will: use log_once there, or a counter.
 * The room hv/console implements it; a host test links tests/fake/fake_log.c instead.
 */
#pragma once

#include "hv/types.h"

/* One line; the newline is added. */
void log_line(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Whole lines as they are, newlines included, without our name: for a user to cut out and use. */
void log_text(const char *text);

/* true: lines only go to the ring, and the console CPU is woken to print them. */
void log_defer(bool on);
/* The console CPU: takes up to n bytes that were not printed yet. */
unsigned log_take(char *buf, unsigned n);

/* Stops the machine with a report: a defect of ours. Never for anything that a guest can cause. */
void bug(const char *file, int line, const char *what) NORETURN;

#define bug_on(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!!(cond), 0)) {                                               \
			bug(__FILE__, __LINE__, #cond);                                            \
		}                                                                                  \
	} while (0)
