/*
 * The calendar of the RTC: bytes <-> seconds since 1970, and when the alarm matches (MC146818A
 * datasheet, "Time, Calendar, and Alarm Locations").
 *
 * Pure functions, called by vrtc.c; vrtc_days also by the driver of the machine's own RTC.
 */
#include "hv/vdev/vrtc_time.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
enum { HOURS_PM = 0x80, ALARM_ANY = 0xc0 };

/*
 * Days from 1970-01-01. Years begin in March here, so that the leap day is the last one; the 400
 * years from 0000-03-01 have 146097 days, and day 719468 is 1970-01-01.
 */
int64_t vrtc_days(int year, unsigned month, unsigned day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static uint8_t show(const uint8_t *cmos, unsigned v)
{
	return (uint8_t)(cmos[RTC_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned value(const uint8_t *cmos, uint8_t byte)
{
	return cmos[RTC_B] & B_BINARY ? byte : (byte >> 4) * 10u + (byte & 0xfu);
}

static uint8_t show_hour(const uint8_t *cmos, unsigned hour)
{
	if (cmos[RTC_B] & B_24H) {
		return show(cmos, hour);
	}
	return show(cmos, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned hour_value(const uint8_t *cmos, uint8_t byte)
{
	if (cmos[RTC_B] & B_24H) {
		return value(cmos, byte);
	}
	return value(cmos, byte & (uint8_t)~HOURS_PM) % 12 + (byte & HOURS_PM ? 12 : 0);
}

static void render_date(uint8_t *cmos, int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned of_era = (unsigned)(shifted - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153; /* from March */
	unsigned full_year = (unsigned)(era * 400 + year + (month >= 10));

	cmos[RTC_DAY] = show(cmos, of_year - (153 * month + 2) / 5 + 1);
	cmos[RTC_MONTH] = show(cmos, month < 10 ? month + 3 : month - 9);
	cmos[RTC_YEAR] = show(cmos, full_year % 100);
	cmos[RTC_CENTURY] = show(cmos, full_year / 100 % 100);
	cmos[RTC_WEEKDAY] = show(cmos, (unsigned)((days % 7 + 7 + 4) % 7 + 1)); /* Sunday is 1 */
}

void vrtc_render(uint8_t *cmos, int64_t time)
{
	int64_t days = (time >= 0 ? time : time - (DAY - 1)) / DAY;
	unsigned of_day = (unsigned)(time - days * DAY);

	cmos[RTC_SECONDS] = show(cmos, of_day % MINUTE);
	cmos[RTC_MINUTES] = show(cmos, of_day % HOUR / MINUTE);
	cmos[RTC_HOURS] = show_hour(cmos, of_day / HOUR);
	render_date(cmos, days);
}

static unsigned clamp(unsigned v, unsigned low, unsigned high)
{
	return v < low ? low : v > high ? high : v;
}

int64_t vrtc_parse(const uint8_t *cmos)
{
	unsigned year = value(cmos, cmos[RTC_CENTURY]) * 100 + value(cmos, cmos[RTC_YEAR]);
	unsigned month = clamp(value(cmos, cmos[RTC_MONTH]), 1, 12);
	unsigned day = clamp(value(cmos, cmos[RTC_DAY]), 1, 31);
	unsigned hour = clamp(hour_value(cmos, cmos[RTC_HOURS]), 0, 23);
	unsigned minute = clamp(value(cmos, cmos[RTC_MINUTES]), 0, 59);
	unsigned second = clamp(value(cmos, cmos[RTC_SECONDS]), 0, 59);

	return vrtc_days((int)year, month, day) * DAY + hour * HOUR + minute * MINUTE + second;
}

/* Moves forward field by field: to the hour, to the minute in it, to the second in that. */
int64_t vrtc_next_alarm(const uint8_t *cmos, int64_t time)
{
	bool any_second = cmos[RTC_SECONDS_ALARM] >= ALARM_ANY;
	bool any_minute = cmos[RTC_MINUTES_ALARM] >= ALARM_ANY;
	bool any_hour = cmos[RTC_HOURS_ALARM] >= ALARM_ANY;
	unsigned second = any_second ? 0 : value(cmos, cmos[RTC_SECONDS_ALARM]);
	unsigned minute = any_minute ? 0 : value(cmos, cmos[RTC_MINUTES_ALARM]);
	unsigned hour = any_hour ? 0 : hour_value(cmos, cmos[RTC_HOURS_ALARM]);
	int64_t at = time + 1;

	if (second > 59 || minute > 59 || hour > 23) {
		return INT64_MAX;
	}
	for (;;) {
		unsigned of_day = (unsigned)((at % DAY + DAY) % DAY);
		unsigned of_hour = of_day % HOUR, of_minute = of_day % MINUTE;

		if (!any_hour && of_day / HOUR != hour) {
			at += (hour + 24 - of_day / HOUR) % 24 * HOUR - of_hour;
		} else if (!any_minute && of_hour / MINUTE < minute) {
			at += minute * MINUTE - of_hour;
		} else if (!any_minute && of_hour / MINUTE > minute) {
			at += HOUR - of_hour;
		} else if (any_second || of_minute == second) {
			return at;
		} else if (of_minute < second) {
			at += second - of_minute;
		} else {
			at += MINUTE - of_minute;
		}
	}
}
