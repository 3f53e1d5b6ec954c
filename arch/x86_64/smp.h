/*
 * Starting the other CPUs.
 */
#pragma once

#include "drivers/acpi.h"

/*
 * Starts every CPU of the MADT by INIT-SIPI-SIPI (Intel SDM vol. 3, "MP Initialization Protocol
 * Algorithm"), through the page at `low`, which stays ours. A CPU that does not come is logged and
 * skipped. Also checks that their TSCs run together, and sets host_tsc_reliable.
 */
void smp_start(const struct acpi_info *a, hpa_t low);

/* --- tsc_sync.c: do the TSCs of all CPUs run together? --- */

/* Boot CPU: races one other, which must call tsc_sync_follow meanwhile. */
void tsc_sync_lead(unsigned cpu);
/* The others: take part once, when it is their turn. */
void tsc_sync_follow(unsigned cpu);
/* Boot CPU, at the end: tells what came of all races and sets host_tsc_reliable. */
void tsc_sync_report(void);
