/*
 * From RTC registers to seconds: see rtc.h. Pure.
 */
#include "drivers/rtc.h"
#include "hv/vdev/vrtc.h"

enum { B_24_HOURS = BIT(1), B_BINARY = BIT(2), HOUR_PM = BIT(7) };

/* A BCD byte's value; a digit above 9 gives a number that no range check accepts. */
static unsigned number(const struct rtc_registers *r, uint8_t v)
{
	if (r->status_b & B_BINARY) {
		return v;
	}
	return (v & 15) > 9 || v > 0x99 ? 255 : (v >> 4) * 10u + (v & 15);
}

static unsigned hour_of(const struct rtc_registers *r)
{
	bool pm = r->hour & HOUR_PM;
	unsigned hour;

	if (r->status_b & B_24_HOURS) {
		return number(r, r->hour);
	}
	hour = number(r, r->hour & (uint8_t)~HOUR_PM);
	if (hour < 1 || hour > 12) {
		return 255;
	}
	return hour % 12 + (pm ? 12 : 0);
}

int64_t rtc_epoch(const struct rtc_registers *r)
{
	unsigned year = number(r, r->year), month = number(r, r->month), day = number(r, r->day);
	unsigned hour = hour_of(r), minute = number(r, r->minute), second = number(r, r->second);

	if (year > 99 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 59) {
		return -1;
	}
	/* The century register has no fixed place; a PC without one is of 1970 to 2069. */
	year += year < 70 ? 2000 : 1900;
	return vrtc_days((int)year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}
