/*
 * Do the TSCs of all CPUs run together? Each other CPU in turn races the boot CPU.
 */
#pragma once

/* Boot CPU: races one other, which must call tsc_sync_follow meanwhile. */
void tsc_sync_lead(unsigned cpu);
/* The others: take part once, when it is their turn. */
void tsc_sync_follow(unsigned cpu);
/* Boot CPU, at the end: tells what came of all races and sets host_tsc_reliable. */
void tsc_sync_report(void);
