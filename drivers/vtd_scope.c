/*
 * VT-d: which unit covers which function. Called by vtd.c; the ways through bridges are followed
 * once, on the boot CPU, with the bus numbers that firmware gave the bridges.
 */
#include "drivers/vtd.h"
#include "hv/pci.h"

/* What a scope stands for: its last function and, of a bridge, the buses behind it. */
struct place {
	bool known;
	uint16_t bdf;
	uint8_t first_bus, last_bus; /* of a bridge; 0 is behind no bridge */
};

static struct place place[DMAR_SCOPES];

static bool read_bridge(uint16_t bdf, uint8_t *secondary, uint8_t *subordinate)
{
	*secondary = (uint8_t)pci_read(bdf, PCI_BUSES + 1, 1);
	*subordinate = (uint8_t)pci_read(bdf, PCI_BUSES + 2, 1);
	return (pci_read(bdf, PCI_HEADER_TYPE, 1) & 0x7f) == 1;
}

static struct place follow(const struct dmar_scope *s)
{
	struct place p = {0};
	uint8_t bus = s->bus, last;

	for (unsigned i = 0; i < s->steps; i++) {
		p.bdf = (uint16_t)(bus << 8 | s->path[i].device << 3 | s->path[i].function);
		if (i + 1 < s->steps && !read_bridge(p.bdf, &bus, &last)) {
			return p;
		}
	}
	p.known = true;
	if (s->type == DMAR_BRIDGE) {
		p.known = read_bridge(p.bdf, &p.first_bus, &p.last_bus);
	}
	return p;
}

/* The ways of other segments cannot be followed; their units block all devices. */
void vtd_resolve(const struct dmar_info *d)
{
	for (unsigned i = 0; i < d->scopes; i++) {
		place[i] = follow(&d->scope[i]);
	}
}

bool vtd_covers(const struct dmar_info *d, const struct dmar_scopes *s, uint16_t bdf)
{
	uint8_t bus = (uint8_t)(bdf >> 8);

	for (unsigned i = s->first; i < s->first + s->count; i++) {
		const struct place *p = &place[i];

		if (!p->known ||
		    (d->scope[i].type != DMAR_ENDPOINT && d->scope[i].type != DMAR_BRIDGE)) {
			continue;
		}
		if (p->bdf == bdf || (p->first_bus && bus >= p->first_bus && bus <= p->last_bus)) {
			return true;
		}
	}
	return false;
}

bool vtd_endpoint(const struct dmar_info *d, unsigned scope, uint16_t *bdf)
{
	*bdf = place[scope].bdf;
	return d->scope[scope].type == DMAR_ENDPOINT && place[scope].known;
}

int vtd_unit_of(const struct dmar_info *d, uint16_t bdf)
{
	int all = -1;

	for (unsigned i = 0; i < d->units; i++) {
		if (d->unit[i].segment != 0) {
			continue;
		}
		if (vtd_covers(d, &d->unit[i].scopes, bdf)) {
			return (int)i;
		}
		if (d->unit[i].all) {
			all = (int)i;
		}
	}
	return all;
}

int vtd_ioapic(const struct dmar_info *d, uint8_t id, unsigned *ordinal)
{
	*ordinal = 0;
	for (unsigned i = 0; i < d->scopes; i++) {
		if (d->scope[i].type != DMAR_IOAPIC) {
			continue;
		}
		if (d->scope[i].id == id && place[i].known) {
			return place[i].bdf;
		}
		++*ordinal;
	}
	return -1;
}
