/*
 * The console multiplexer: one terminal for the log and for every guest's serial port.
 *
 * One physical CPU serves it (the console CPU: one without a guest if there is one, else the boot
 * CPU); guests only fill their own rings and are never made to wait for each other.
 *
 * The start-up view shows all, each line prefixed with its guest's name; typing goes to the first
 * guest with a serial port. Ctrl-a then 1-9 gives that guest the terminal, unprefixed, 0 the log;
 * Ctrl-a l goes back, after the latest lines of the log; Ctrl-a x ends the machine; Ctrl-a a sends
 * a Ctrl-a.
 */
#pragma once

#include "hv/config.h"

/* Boot CPU, once: names the CPU that serves the console. */
void console_init(const struct config_system *system, unsigned cpu);

/* Any CPU: there is something to do (a ring has bytes, the log has lines, a partition finished). */
void console_wake(void);

/* The console CPU: moves what there is, without waiting; ends the machine when all guests ended. */
void console_run(void);

/* What the console CPU does for ever when it has no guest. */
void console_loop(void) NORETURN;
