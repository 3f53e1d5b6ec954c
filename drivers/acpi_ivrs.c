/*
 * Reads the IVRS table: see acpi_ivrs.h. Called by drivers/iommu.c, once.
 *
 * A unit may be described by several IVHD blocks, for software of different age: of those we know,
 * the one with the highest type counts. Like acpi.c it believes no length.
 */
#include "drivers/acpi_ivrs.h"
#include "drivers/acpi_part.h"
#include "hv/lib/bytes.h"

enum ivrs_type {
	IVHD_10 = 0x10,
	IVHD_11 = 0x11,
	IVHD_40 = 0x40, /* may hold devices that ACPI names */
	IVMD_ALL = 0x20,
	IVMD_SELECT = 0x21,
	IVMD_RANGE = 0x22,
};

enum { IVRS_HEADER = 48, IVRS_MAX = 65536 };
enum { IVHD_10_SIZE = 24, IVHD_11_SIZE = 40, IVMD_SIZE = 32, BLOCK_SIZE = 4 };
/* Bit 0, "unity", is what all of them mean to us. */
enum { IVMD_WRITE = BIT(2), IVMD_EXCLUSION = BIT(3) };

/* Device entries; the two top bits of a type tell its length. */
enum ivhd_entry {
	ENTRY_ALL = 1,
	ENTRY_SELECT = 2,
	ENTRY_START = 3,
	ENTRY_END = 4,
	ENTRY_ALIAS_SELECT = 66,
	ENTRY_ALIAS_START = 67,
	ENTRY_EXT_SELECT = 70,
	ENTRY_EXT_START = 71,
	ENTRY_SPECIAL = 72,
	ENTRY_ACPI = 240,
};

enum { SPECIAL_IOAPIC = 1, ENTRY_ACPI_SIZE = 22 };

struct ivrs_reader {
	struct ivrs_info *v;
	const struct acpi_table *t;
	struct refusal *r;
};

static bool refuse_at(const struct ivrs_reader *s, const uint8_t *e, const char *why)
{
	return refuse(s->r, "ACPI: IVRS at 0x%lx: block at offset 0x%x: %s", s->t->at.v,
		      (unsigned)(e - s->t->p), why);
}

static bool is_ivhd(uint8_t type)
{
	return type == IVHD_10 || type == IVHD_11 || type == IVHD_40;
}

static uint32_t block_least(uint8_t type)
{
	switch (type) {
	case IVHD_10: return IVHD_10_SIZE;
	case IVHD_11:
	case IVHD_40: return IVHD_11_SIZE;
	case IVMD_ALL:
	case IVMD_SELECT:
	case IVMD_RANGE: return IVMD_SIZE;
	default: return BLOCK_SIZE;
	}
}

/* --- device entries --- */

/* 0: it does not fit into `left` bytes. */
static uint32_t entry_length(const uint8_t *e, uint32_t left)
{
	uint32_t len = 4u << (e[0] >> 6);

	if (e[0] >= ENTRY_ACPI) {
		len = left < ENTRY_ACPI_SIZE ? ENTRY_ACPI_SIZE : ENTRY_ACPI_SIZE + e[21];
	}
	return len > left ? 0 : len;
}

static bool add_device(const struct ivrs_reader *s, const uint8_t *block, struct ivrs_device d)
{
	if (s->v->devices == IVRS_DEVICES) {
		return refuse_at(s, block, "too many device entries");
	}
	s->v->device[s->v->devices++] = d;
	return true;
}

static bool add_special(const struct ivrs_reader *s, const uint8_t *block, const uint8_t *e)
{
	const struct ivrs_device d = {.kind = IVRS_IOAPIC, .id = e[4], .first = get_le16(e + 5)};

	return e[7] != SPECIAL_IOAPIC || add_device(s, block, d);
}

/* `open`: a range that has begun and waits for its end. */
static bool take_entry(const struct ivrs_reader *s, const uint8_t *block, const uint8_t *e,
		       struct ivrs_device *open, bool *is_open)
{
	struct ivrs_device d = {.kind = IVRS_SELECT, .first = get_le16(e + 1)};

	d.last = d.first;
	if (*is_open && e[0] != ENTRY_END) {
		return refuse_at(s, block, "a range of devices has no end");
	}
	switch (e[0]) {
	case ENTRY_ALL:
		d.first = 0;
		d.last = 0xffff;
		return add_device(s, block, d);
	case ENTRY_ALIAS_SELECT:
		d.aliased = true;
		d.alias = get_le16(e + 5);
		return add_device(s, block, d);
	case ENTRY_SELECT:
	case ENTRY_EXT_SELECT:
	case ENTRY_ACPI: return add_device(s, block, d);
	case ENTRY_ALIAS_START:
		d.aliased = true;
		d.alias = get_le16(e + 5);
		*open = d;
		*is_open = true;
		return true;
	case ENTRY_START:
	case ENTRY_EXT_START:
		*open = d;
		*is_open = true;
		return true;
	case ENTRY_END:
		if (!*is_open || d.first < open->first) {
			return refuse_at(s, block, "a range of devices ends before it starts");
		}
		open->last = d.first;
		*is_open = false;
		return add_device(s, block, *open);
	case ENTRY_SPECIAL: return add_special(s, block, e);
	default: return true;
	}
}

static bool take_entries(const struct ivrs_reader *s, const uint8_t *block)
{
	uint32_t len = get_le16(block + 2), step;
	struct ivrs_device open = {0};
	bool is_open = false;

	for (uint32_t at = block_least(block[0]); at < len; at += step) {
		step = entry_length(block + at, len - at);
		if (!step) {
			return refuse_at(s, block, "a device entry reaches beyond it");
		}
		if (!take_entry(s, block, block + at, &open, &is_open)) {
			return false;
		}
	}
	return !is_open || refuse_at(s, block, "a range of devices has no end");
}

/* --- blocks --- */

static bool take_unit(const struct ivrs_reader *s, const uint8_t *e)
{
	struct ivrs_info *v = s->v;
	struct ivrs_unit *u = &v->unit[v->units];

	if (v->units == IVRS_UNITS) {
		return refuse_at(s, e, "too many units");
	}
	*u = (struct ivrs_unit){.base = hpa(get_le64(e + 8)),
				.segment = get_le16(e + 16),
				.bdf = get_le16(e + 4),
				.first = v->devices};
	/* The registers take 512 KiB with counters, and firmware may say bit 0: enabled. */
	if (!u->base.v || u->base.v & PAGE_MASK || u->base.v >> 52) {
		return refuse_at(s, e, "the unit's register base is no page");
	}
	for (unsigned i = 0; i < v->units; i++) {
		if (v->unit[i].base.v == u->base.v) {
			return refuse_at(s, e, "another unit has the same registers");
		}
	}
	v->units++;
	if (!take_entries(s, e)) {
		return false;
	}
	u->devices = v->devices - u->first;
	return true;
}

static bool take_range(const struct ivrs_reader *s, const uint8_t *e)
{
	struct ivrs_range *range = &s->v->range[s->v->ranges];
	uint64_t base = get_le64(e + 16), size = get_le64(e + 24);

	if (s->v->ranges == IVRS_RANGES) {
		return refuse_at(s, e, "too many memory blocks");
	}
	if (!size || base >> 52 || size >> 52) {
		return refuse_at(s, e, "a memory block is empty or beyond all addresses");
	}
	*range = (struct ivrs_range){
		.first = e[0] == IVMD_ALL ? 0 : get_le16(e + 4),
		.last = e[0] == IVMD_ALL ? 0xffff : get_le16(e + (e[0] == IVMD_RANGE ? 6 : 4)),
		.base = ALIGN_DOWN(base, (uint64_t)PAGE_SIZE),
		.end = ALIGN_UP(base + size, (uint64_t)PAGE_SIZE),
		/* An exclusion range is one where nothing is checked. */
		.write = e[1] & (IVMD_WRITE | IVMD_EXCLUSION),
	};
	if (range->last < range->first) {
		return refuse_at(s, e, "a range of devices ends before it starts");
	}
	s->v->ranges++;
	return true;
}

/* True when a later or earlier block describes the same unit with a higher type that we know. */
static bool superseded(const struct acpi_table *t, const uint8_t *e)
{
	for (uint32_t at = IVRS_HEADER; at < t->len; at += get_le16(t->p + at + 2)) {
		const uint8_t *o = t->p + at;

		if (is_ivhd(o[0]) && o[0] > e[0] && get_le16(o + 4) == get_le16(e + 4) &&
		    get_le16(o + 16) == get_le16(e + 16)) {
			return true;
		}
	}
	return false;
}

static bool check_blocks(const struct ivrs_reader *s)
{
	const struct acpi_table *t = s->t;

	/* Blocks are compared with each other: no table may make that long. */
	if (t->len > IVRS_MAX) {
		return refuse_at(s, t->p, "the table is longer than 64 KiB");
	}
	for (uint32_t at = IVRS_HEADER; at < t->len; at += get_le16(t->p + at + 2)) {
		uint32_t left = t->len - at;

		if (left < BLOCK_SIZE || get_le16(t->p + at + 2) > left ||
		    get_le16(t->p + at + 2) < block_least(t->p[at])) {
			return refuse_at(s, t->p + at, "its length does not fit");
		}
	}
	return true;
}

static bool take_block(const struct ivrs_reader *s, const uint8_t *e)
{
	switch (e[0]) {
	case IVHD_10:
	case IVHD_11:
	case IVHD_40: return superseded(s->t, e) || take_unit(s, e);
	case IVMD_ALL:
	case IVMD_SELECT:
	case IVMD_RANGE: return take_range(s, e);
	default: return true;
	}
}

bool acpi_parse_ivrs(struct ivrs_info *v, const struct acpi_info *a, acpi_map_fn map, void *ctx,
		     struct refusal *r)
{
	struct acpi_reader reader = {.map = map, .ctx = ctx, .r = r};
	struct acpi_table t;
	struct ivrs_reader s = {.v = v, .t = &t, .r = r};

	memset(v, 0, sizeof(*v));
	if (!acpi_map_table(&reader, acpi_find_table(a, "IVRS"), "IVRS", IVRS_HEADER, &t) ||
	    !check_blocks(&s)) {
		return false;
	}
	for (uint32_t at = IVRS_HEADER; at < t.len; at += get_le16(t.p + at + 2)) {
		if (!take_block(&s, t.p + at)) {
			return false;
		}
	}
	return v->units || refuse(r, "ACPI: IVRS at 0x%lx: names no unit", t.at.v);
}
