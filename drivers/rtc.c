/*
 * Physical RTC: see rtc.h. Called once by boot/main.c.
 */
#include "drivers/rtc.h"
#include "arch/x86_64/asm.h"
#include "hv/lib/string.h"

enum { INDEX = 0x70, DATA = 0x71, NMI_OFF = 0x80 };
enum {
	SECOND = 0,
	MINUTE = 2,
	HOUR = 4,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	STATUS_A = 0xa,
	STATUS_B = 0xb
};
enum { A_UPDATE = BIT(7), NOTHING = 0xff };
enum { TRIES = 5, PATIENCE = 20000 /* an update takes 2 ms, a turn about 2 us */ };

static uint8_t get(uint8_t r)
{
	out8(INDEX, r | NMI_OFF);
	return in8(DATA);
}

static void get_all(struct rtc_registers *r)
{
	for (unsigned i = 0; i < PATIENCE && (get(STATUS_A) & A_UPDATE); i++) {
		pause();
	}
	r->second = get(SECOND);
	r->minute = get(MINUTE);
	r->hour = get(HOUR);
	r->day = get(DAY);
	r->month = get(MONTH);
	r->year = get(YEAR);
	r->status_b = get(STATUS_B);
}

int64_t rtc_read_epoch(void)
{
	struct rtc_registers first, again;
	int64_t epoch = -1;
	bool present = get(STATUS_A) != NOTHING; /* not every machine has one */

	/* An update between two registers shows as two readings that differ. */
	for (unsigned i = 0; present && i < TRIES && epoch < 0; i++) {
		get_all(&first);
		get_all(&again);
		if (!memcmp(&first, &again, sizeof(first))) {
			epoch = rtc_epoch(&first);
		}
	}
	out8(INDEX, STATUS_B); /* NMI on again */
	in8(DATA);
	return epoch;
}
