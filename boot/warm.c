/*
 * The log that outlives a reset: see warm.h; the records are hv/console/warm.c's. host_log_keep is
 * called by the log, which keeps CPUs apart; the rest by the boot CPU. The state belongs to this
 * file.
 *
 * Every record is written back from the caches at once: a hard reset loses what is only there.
 */
#include "boot/warm.h"
#include "arch/x86_64/asm.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

enum { LINES_OF_GOOD_BOOT = 20 };

static struct {
	uint64_t at;
	struct warm_area *area;
} place[WARM_PLACES];
static unsigned places;
static struct warm_area last; /* what the last boot has left, or zeros */
static uint32_t number;	      /* of the next record */
static enum warm_state state;
static bool quiet; /* what is shown of the last boot is not kept again */

void host_log_keep(const char *line, size_t n)
{
	uint32_t records = 0;

	if (quiet) {
		return;
	}
	for (unsigned i = 0; i < places; i++) {
		struct warm_area *a = place[i].area;

		records = warm_put(a, number, line, n);
		for (uint32_t r = 0; r < records; r++) {
			clflush(&a->record[(number + r) % WARM_RECORDS], WARM_RECORD);
		}
	}
	number += records;
}

static void set_stage(uint32_t stage)
{
	for (unsigned i = 0; i < places; i++) {
		warm_set_stage(place[i].area, state, stage);
		clflush(&place[i].area->header, sizeof(place[i].area->header));
	}
}

void warm_stage(enum boot_stage s)
{
	state = s >= STAGE_GUESTS ? WARM_RUNS : WARM_BOOTS;
	set_stage(s);
}

void warm_ended(void)
{
	state = WARM_ENDED;
	set_stage(STAGE_GUESTS);
}

/* The copy with the most of the latest boot; NULL: there is none. */
static const struct warm_area *best_copy(const uint64_t at[], unsigned n)
{
	const struct warm_area *best = NULL;
	struct warm_reader r;
	uint32_t most = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct warm_area *a = (const struct warm_area *)at[i];
		uint32_t records;

		if (!warm_sound(a)) {
			continue;
		}
		records = warm_open(&r, a);
		if (!best || a->header.boot > best->header.boot ||
		    (a->header.boot == best->header.boot && records > most)) {
			best = a;
			most = records;
		}
	}
	return best;
}

void warm_show(void)
{
	const struct warm_area *a = &last;
	const char *words = boot_stage_words(a->header.stage);
	char line[WARM_LINE];
	struct warm_reader r;

	if (!warm_sound(a)) {
		return;
	}
	quiet = true;
	if (a->header.state == WARM_ENDED) {
		log_line("last time: boot %lu came to its end in order", a->header.boot);
	} else {
		log_line("last time: boot %lu got as far as stage 0x%x (%s)", a->header.boot,
			 a->header.stage, words ? words : "unknown");
	}
	warm_open(&r, a);
	if (a->header.state == WARM_ENDED) {
		warm_keep_last(&r, LINES_OF_GOOD_BOOT);
	}
	while (warm_next(&r, line)) {
		log_line("last time: %s", line);
	}
	quiet = false;
}

void warm_start(const struct boot_info *b, uint64_t image, uint64_t image_end)
{
	uint64_t at[WARM_PLACES];
	unsigned n = warm_places(b, at);
	const struct warm_area *best = best_copy(at, n);

	if (best) {
		memcpy(&last, best, sizeof(last));
	}
	for (unsigned i = 0; i < n; i++) {
		if (!warm_place_free(b, at[i], image, image_end)) {
			continue;
		}
		place[places].at = at[i];
		place[places].area = (struct warm_area *)at[i];
		warm_begin(place[places].area, best ? last.header.boot + 1 : 1);
		clflush(place[places].area, WARM_BYTES);
		places++;
	}
	warm_stage(STAGE_INFORMATION);
}

void warm_moved(void)
{
	for (unsigned i = 0; i < places; i++) {
		place[i].area = host_ptr(hpa(place[i].at));
	}
}
