/*
 * The machine's real-time clock, read once at boot (Motorola MC146818 datasheet).
 */
#pragma once

#include "hv/types.h"

struct rtc_registers {
	uint8_t second, minute, hour, day, month, year, status_b;
};

/* Seconds since 1970-01-01 by the registers: BCD or binary, 12 or 24 h; -1: no date. Pure. */
int64_t rtc_epoch(const struct rtc_registers *r);

/* Date and time now as seconds since 1970-01-01; -1: there is no clock, or it makes no sense. */
int64_t rtc_read_epoch(void);
