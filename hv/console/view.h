/*
 * What the screen shows, where there is one (host_screen_size).
 *
 * While the machine comes up, the log. Then tiles: one per guest, with a bar that tells how it does
 * and what its serial port sends, and the log below; or one guest alone, when it has the terminal.
 * The last words of a machine that stops bring the log back.
 *
 * view_log is called by whoever holds the log; everything else by the console CPU.
 */
#pragma once

#include "hv/console/terminal.h"

/* Boot CPU: there is a screen from now on. */
void view_begin(void);
/* The screen is no longer ours, after these words. */
void view_end(const char *words);
/* Everything the log has, at once. After view_start these are last words. */
void view_log(void);

/* Boot CPU, once the partitions exist: from now on tiles. `t` is the terminal that they follow. */
void view_start(const struct terminal *t);
/* What a source of the terminal has sent. */
void view_feed(unsigned source, const uint8_t *bytes, unsigned n);
/* The keys may have given the terminal to another. */
void view_switch(void);
/* A byte of a key, while the log has the terminal: cursor and page keys scroll it. */
void view_page(uint8_t byte);
/*
 * Draws a part of what has changed, a smaller one if the CPU has a guest to run. Returns the host
 * TSC at which to go on.
 */
uint64_t view_turn(bool shared);
