/*
 * Reads the DMAR table: see acpi_dmar.h. Called by drivers/iommu.c, once.
 *
 * Like acpi.c it believes no length: a structure lies within the table, a device scope within its
 * structure, and every step forward is at least one byte.
 */
#include "drivers/acpi_dmar.h"
#include "drivers/acpi_part.h"
#include "hv/lib/bytes.h"

/* Remapping structure types. Others (ATSR, RHSA, ANDD, SATC, SIDP) say nothing that we need. */
enum dmar_type { DMAR_DRHD = 0, DMAR_RMRR = 1 };

enum { DMAR_HEADER = 48, DMAR_INTR_REMAP = BIT(0) };
enum { DRHD_SIZE = 16, DRHD_INCLUDE_ALL = BIT(0) };
enum { RMRR_SIZE = 24, SCOPE_SIZE = 6 };

struct dmar_reader {
	struct dmar_info *d;
	const struct acpi_table *t;
	struct refusal *r;
};

static bool refuse_at(const struct dmar_reader *s, const uint8_t *e, const char *why)
{
	return refuse(s->r, "ACPI: DMAR at 0x%lx: structure at offset 0x%x: %s", s->t->at.v,
		      (unsigned)(e - s->t->p), why);
}

static bool take_scope(const struct dmar_reader *s, const uint8_t *e, const uint8_t *p)
{
	struct dmar_scope *scope = &s->d->scope[s->d->scopes];
	unsigned steps = (p[1] - SCOPE_SIZE) / 2u;

	if (p[1] < SCOPE_SIZE + 2 || p[1] % 2 || steps > DMAR_PATH) {
		return refuse_at(s, e, "the length of a device scope is wrong");
	}
	if (s->d->scopes == DMAR_SCOPES) {
		return refuse_at(s, e, "too many device scopes");
	}
	*scope = (struct dmar_scope){
		.type = p[0], .id = p[4], .bus = p[5], .steps = (uint8_t)steps};
	for (unsigned i = 0; i < steps; i++) {
		scope->path[i].device = p[SCOPE_SIZE + 2 * i];
		scope->path[i].function = p[SCOPE_SIZE + 2 * i + 1];
		if (scope->path[i].device > 31 || scope->path[i].function > 7) {
			return refuse_at(s, e, "a device scope names no PCI function");
		}
	}
	s->d->scopes++;
	return true;
}

static bool take_scopes(const struct dmar_reader *s, const uint8_t *e, unsigned at,
			struct dmar_scopes *out)
{
	unsigned len = get_le16(e + 2);

	out->first = s->d->scopes;
	while (at < len) {
		if (len - at < 2 || e[at + 1] > len - at) {
			return refuse_at(s, e, "a device scope reaches beyond it");
		}
		if (!take_scope(s, e, e + at)) {
			return false;
		}
		at += e[at + 1];
	}
	out->count = s->d->scopes - out->first;
	return true;
}

static bool take_unit(const struct dmar_reader *s, const uint8_t *e)
{
	struct dmar_info *d = s->d;
	struct dmar_unit *u = &d->unit[d->units];

	if (d->units == DMAR_UNITS) {
		return refuse_at(s, e, "too many remapping units");
	}
	*u = (struct dmar_unit){.base = hpa(get_le64(e + 8)),
				.segment = get_le16(e + 6),
				.all = e[4] & DRHD_INCLUDE_ALL};
	if (!u->base.v || u->base.v & PAGE_MASK || u->base.v >> 52) {
		return refuse_at(s, e, "the unit's register base is no page");
	}
	for (unsigned i = 0; i < d->units; i++) {
		if (d->unit[i].base.v == u->base.v) {
			return refuse_at(s, e, "another unit has the same registers");
		}
		if (u->all && d->unit[i].all && d->unit[i].segment == u->segment) {
			return refuse_at(s, e, "a second unit includes all devices of its segment");
		}
	}
	d->units++;
	return take_scopes(s, e, DRHD_SIZE, &u->scopes);
}

static bool take_range(const struct dmar_reader *s, const uint8_t *e)
{
	struct dmar_info *d = s->d;
	struct dmar_range *range = &d->range[d->ranges];
	uint64_t base = get_le64(e + 8), limit = get_le64(e + 16);

	if (d->ranges == DMAR_RANGES) {
		return refuse_at(s, e, "too many reserved memory regions");
	}
	if (limit < base || limit >> 52) {
		return refuse_at(s, e, "a reserved memory region ends before it starts");
	}
	*range = (struct dmar_range){.segment = get_le16(e + 6),
				     .base = ALIGN_DOWN(base, (uint64_t)PAGE_SIZE),
				     .end = ALIGN_UP(limit + 1, (uint64_t)PAGE_SIZE)};
	d->ranges++;
	return take_scopes(s, e, RMRR_SIZE, &range->scopes);
}

static unsigned structure_least(uint16_t type)
{
	switch (type) {
	case DMAR_DRHD: return DRHD_SIZE;
	case DMAR_RMRR: return RMRR_SIZE;
	default: return 4;
	}
}

static bool take_structure(const struct dmar_reader *s, const uint8_t *e)
{
	switch (get_le16(e)) {
	case DMAR_DRHD: return take_unit(s, e);
	case DMAR_RMRR: return take_range(s, e);
	default: return true;
	}
}

bool acpi_parse_dmar(struct dmar_info *d, const struct acpi_info *a, acpi_map_fn map, void *ctx,
		     struct refusal *r)
{
	struct acpi_reader reader = {.map = map, .ctx = ctx, .r = r};
	struct acpi_table t;
	struct dmar_reader s = {.d = d, .t = &t, .r = r};

	memset(d, 0, sizeof(*d));
	if (!acpi_map_table(&reader, acpi_find_table(a, "DMAR"), "DMAR", DMAR_HEADER, &t)) {
		return false;
	}
	d->remaps_interrupts = t.p[37] & DMAR_INTR_REMAP;
	for (uint32_t at = DMAR_HEADER; at < t.len; at += get_le16(t.p + at + 2)) {
		const uint8_t *e = t.p + at;
		uint32_t left = t.len - at;

		if (left < 4 || get_le16(e + 2) > left ||
		    get_le16(e + 2) < structure_least(get_le16(e))) {
			return refuse_at(&s, e, "its length does not fit");
		}
		if (!take_structure(&s, e)) {
			return false;
		}
	}
	return d->units || refuse(r, "ACPI: DMAR at 0x%lx: names no remapping unit", t.at.v);
}
