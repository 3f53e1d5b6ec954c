/*
 * Between vrtc.c and vrtc_time.c only: the registers, and time as the time bytes show it.
 */
#pragma once

#include "hv/vdev/vrtc.h"

enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32, /* as the FADT says */
};

enum {
	B_24H = 1 << 1,
	B_BINARY = 1 << 2,
	B_UIE = 1 << 4,
	B_AIE = 1 << 5,
	B_PIE = 1 << 6,
	B_SET = 1 << 7,
};

/* Seconds since 1970 into the time bytes of cmos, in the format that register B asks for. */
void vrtc_render(uint8_t *cmos, int64_t time);
/* The other way round. Bytes that make no date are brought into range; never fails. */
int64_t vrtc_parse(const uint8_t *cmos);
/* The first second after `time` that the alarm bytes match, INT64_MAX when they match none. */
int64_t vrtc_next_alarm(const uint8_t *cmos, int64_t time);
