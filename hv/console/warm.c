/*
 * The records of the log that outlives a reset: see warm.h. Called by boot/warm.c; no state.
 */
#include "hv/console/warm.h"
#include "hv/lib/string.h"

#define WARM_MAGIC 0x676f4c6e6f696c4dull /* "MlionLog" */

enum { WARM_VERSION = 1, TEXT = sizeof(((struct warm_record *)0)->text) };

/* FNV-1a: rubble does not meet it by chance, and nobody who could forge it owns this memory. */
#define FNV_START 0x811c9dc5u
#define FNV_PRIME 0x01000193u

static uint32_t fnv(uint32_t sum, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	while (n--) {
		sum = (sum ^ *bytes++) * FNV_PRIME;
	}
	return sum;
}

static uint32_t header_check(const struct warm_header *h)
{
	uint32_t sum = fnv(FNV_START, &h->magic, sizeof(h->magic));

	sum = fnv(sum, &h->version, sizeof(h->version));
	sum = fnv(sum, &h->boot, sizeof(h->boot));
	sum = fnv(sum, &h->state, sizeof(h->state));
	return fnv(sum, &h->stage, sizeof(h->stage));
}

/* The caller has checked the length. */
static uint32_t record_check(const struct warm_record *e, uint64_t boot)
{
	uint32_t sum = fnv(FNV_START, &boot, sizeof(boot));

	sum = fnv(sum, &e->number, sizeof(e->number));
	sum = fnv(sum, &e->length, sizeof(e->length));
	sum = fnv(sum, &e->more, sizeof(e->more));
	return fnv(sum, e->text, e->length);
}

static char printable(char c)
{
	return c >= ' ' && c <= '~' ? c : '?';
}

void warm_begin(struct warm_area *a, uint64_t boot)
{
	memset(a, 0, sizeof(*a));
	a->header.magic = WARM_MAGIC;
	a->header.version = WARM_VERSION;
	a->header.boot = boot;
	a->header.check = header_check(&a->header);
}

void warm_set_stage(struct warm_area *a, enum warm_state state, uint32_t stage)
{
	a->header.state = state;
	a->header.stage = stage;
	a->header.check = header_check(&a->header);
}

uint32_t warm_put(struct warm_area *a, uint32_t number, const char *text, size_t n)
{
	uint32_t records = 0;

	n = n < WARM_LINE - 1 ? n : WARM_LINE - 1;
	do {
		struct warm_record *e = &a->record[number % WARM_RECORDS];
		size_t part = n < TEXT ? n : TEXT;

		e->check = 0; /* until it is whole */
		e->number = number;
		e->length = (uint8_t)part;
		e->more = part < n;
		for (size_t i = 0; i < part; i++) {
			e->text[i] = printable(text[i]);
		}
		e->check = record_check(e, a->header.boot);
		text += part;
		n -= part;
		number++;
		records++;
	} while (n);
	return records;
}

bool warm_sound(const struct warm_area *a)
{
	const struct warm_header *h = &a->header;

	return h->magic == WARM_MAGIC && h->version == WARM_VERSION && h->state <= WARM_ENDED &&
	       h->check == header_check(h);
}

/* The record with this number, or NULL: overwritten, torn, of another boot. */
static const struct warm_record *record(const struct warm_area *a, uint32_t number)
{
	const struct warm_record *e = &a->record[number % WARM_RECORDS];

	return e->number == number && e->length <= TEXT && e->more <= 1 &&
			       e->check == record_check(e, a->header.boot)
		       ? e
		       : NULL;
}

uint32_t warm_open(struct warm_reader *r, const struct warm_area *a)
{
	uint32_t found = 0, last = 0, first;

	for (uint32_t i = 0; i < WARM_RECORDS; i++) {
		uint32_t number = a->record[i].number;

		if (number % WARM_RECORDS == i && record(a, number)) {
			last = !found || number > last ? number : last;
			found++;
		}
	}
	first = last >= WARM_RECORDS ? last - WARM_RECORDS + 1 : 0;
	*r = (struct warm_reader){.area = a, .next = first, .end = found ? last + 1 : first};
	/* What stands first may be the rest of a line whose beginning is overwritten. */
	if (first && found) {
		r->next++;
		while (r->next < r->end && record(a, r->next - 1) && record(a, r->next - 1)->more) {
			r->next++;
		}
	}
	return found;
}

bool warm_next(struct warm_reader *r, char line[WARM_LINE])
{
	size_t len = 0;

	while (r->next < r->end) {
		const struct warm_record *e = record(r->area, r->next++);

		if (!e) {
			continue; /* one that was lost does not take the others along */
		}
		for (unsigned i = 0; i < e->length && len < WARM_LINE - 1; i++) {
			line[len++] = printable(e->text[i]);
		}
		if (!e->more) {
			line[len] = 0;
			return true;
		}
	}
	line[len] = 0;
	return len > 0;
}

void warm_keep_last(struct warm_reader *r, unsigned lines)
{
	struct warm_reader count = *r;
	char line[WARM_LINE];
	unsigned n = 0;

	while (warm_next(&count, line)) {
		n++;
	}
	for (; n > lines; n--) {
		warm_next(r, line);
	}
}
