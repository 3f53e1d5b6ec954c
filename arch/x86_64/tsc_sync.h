/*
 * Do the TSCs of all CPUs run together? Each other CPU in turn races the boot CPU.
 */
#pragma once

/* Boot CPU: runs the check and sets host_tsc_reliable. */
void tsc_sync_check(unsigned cpus);
/* The others: take part once, when it is their turn. */
void tsc_sync_follow(unsigned cpu);
