/*
 * What may be passed through, and to whom: the checks of the configuration against the devices that
 * were found. Boot CPU, before any partition is made; no state.
 */
#include "hv/cpu_facts.h"
#include "hv/lib/printf.h"
#include "hv/log.h"
#include "hv/passthrough_part.h"
#include "hv/pci_group.h"
#include "hv/pci_place.h"
#include "hv/pci_text.h"

static bool refuse_at(struct refusal *r, const struct config *c, const struct config_guest *g,
		      const struct config_pci *at, const char *why)
{
	return refuse(r, "%s:%u:%u: error: guest %s: PCI %02x:%02x.%x %s", c->file, at->place.line,
		      at->place.col, g->name, at->bus, at->device, at->function, why);
}

static struct pci_function *find(const struct config_pci *at)
{
	const struct pci_function *f = pci_find(passthrough_bdf(at));

	return f ? &pci_functions[f - pci_functions] : NULL;
}

static bool configured(const struct config *c, uint16_t bdf)
{
	for (unsigned i = 0; i < c->guests; i++) {
		for (unsigned n = 0; n < c->guest[i].pcis; n++) {
			if (passthrough_bdf(&c->guest[i].pci[n]) == bdf) {
				return true;
			}
		}
	}
	return false;
}

/* Another function that answers, or will, where BAR b of f is; NULL: none. */
static const struct pci_function *meets_function(const struct config *c,
						 const struct pci_function *f,
						 const struct pci_bar *b)
{
	for (unsigned n = 0; n < pci_function_count; n++) {
		const struct pci_function *o = &pci_functions[n];

		for (unsigned i = 0; o != f && i < PCI_BARS; i++) {
			const struct pci_bar *other = &o->bar[i];

			if (other->size && other->io == b->io &&
			    b->base < other->base + other->size &&
			    other->base < b->base + b->size &&
			    (configured(c, o->bdf) ||
			     (pci_read(o->bdf, PCI_COMMAND, 2) &
			      (b->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))) {
				return o;
			}
		}
	}
	return NULL;
}

/* What is wrong with the place of a BAR, in words; false: nothing. */
static bool is_misplaced(const struct config *c, const struct config_machine *m,
			 const struct pci_function *f, const struct pci_bar *b, char *text,
			 size_t size)
{
	uint64_t limit = b->io ? KIB(64) : cpu_address_limit();
	const struct pci_function *o;
	const char *met;

	if (!b->base) {
		fmt_print(text, size, "without an address");
		return true;
	}
	if (b->size > limit || b->base > limit - b->size) {
		fmt_print(text, size, "beyond this CPU's addresses");
		return true;
	}
	if (!pci_reaches(f, b->io, b->base, b->size, &o)) {
		fmt_print(text, size, "outside the windows of %02x:%02x.%x", o->bdf >> 8,
			  o->bdf >> 3 & 31, o->bdf & 7);
		return true;
	}
	met = !b->io && m->mmio_taken ? m->mmio_taken(m->ctx, b->base, b->size) : NULL;
	if (met) {
		fmt_print(text, size, "over %s", met);
		return true;
	}
	o = meets_function(c, f, b);
	if (o) {
		fmt_print(text, size, "over one of %02x:%02x.%x", BDF_PARTS(o->bdf));
	}
	return o;
}

/*
 * Firmware is not believed either: a BAR at 0 or over something of ours would be a door for the
 * guest. It gets a better place where there is one. False: why, in words.
 */
static bool settle_bar(const struct config *c, const struct config_machine *m,
		       struct pci_function *f, unsigned i, char *text, size_t size)
{
	const struct pci_machine machine = {.taken = m->mmio_taken, .ctx = m->ctx};
	struct pci_bar *b = &f->bar[i];
	const char *why;
	char what[48];

	if (!b->size || !is_misplaced(c, m, f, b, what, sizeof(what))) {
		return true;
	}
	if (pci_place_bar(f, i, &machine, &why)) {
		log_line("PCI %02x:%02x.%x: firmware left BAR %u %s; it is at 0x%lx now",
			 f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7, i, what,
			 (unsigned long)b->base);
		return true;
	}
	fmt_print(text, size,
		  "has BAR %u %s, as the firmware left it, and %s; have the firmware's setup "
		  "assign all devices (no `PnP OS`, `above 4G decoding`)",
		  i, what, why);
	return b->io && !b->base; /* it does without (passthrough.c) */
}

static bool meets_range(const struct pci_function *f, bool io, const struct config_range *range,
			unsigned *bar)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *b = &f->bar[i];

		if (b->size && b->base && b->io == io && range->base < b->base + b->size &&
		    b->base < range->base + range->size) {
			*bar = i;
			return true;
		}
	}
	return false;
}

/* What one guest drives no other may reach by `mmio` or `ports`. */
static bool check_ranges(const struct config *c, const struct config_guest *g,
			 const struct config_pci *at, const struct pci_function *f,
			 struct refusal *r)
{
	char text[96];
	unsigned bar;

	for (unsigned i = 0; i < c->guests; i++) {
		const struct config_guest *o = &c->guest[i];

		for (unsigned n = 0; o != g && n < o->mmios + o->ports; n++) {
			bool io = n >= o->mmios;
			const struct config_range *range = io ? &o->port[n - o->mmios]
							      : &o->mmio[n];

			if (meets_range(f, io, range, &bar)) {
				fmt_print(text, sizeof(text), "has BAR %u where guest %s has `%s`",
					  bar, o->name, io ? "ports" : "mmio");
				return refuse_at(r, c, g, at, text);
			}
		}
	}
	return true;
}

static bool check_bars(const struct config *c, const struct config_machine *m,
		       const struct config_guest *g, const struct config_pci *at, struct refusal *r)
{
	struct pci_function *f = find(at);
	const struct pci_machine machine = {.taken = m->mmio_taken, .ctx = m->ctx};
	const struct pci_function *bridge;
	char text[240];

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (!settle_bar(c, m, f, i, text, sizeof(text))) {
			return refuse_at(r, c, g, at, text);
		}
	}
	if (!pci_way_is_sound(f, &machine, &bridge)) {
		fmt_print(text, sizeof(text),
			  "is behind bridge %02x:%02x.%x, which is off and whose windows meet "
			  "something else; have the firmware's setup assign all devices",
			  bridge->bdf >> 8, bridge->bdf >> 3 & 31, bridge->bdf & 7);
		return refuse_at(r, c, g, at, text);
	}
	return check_ranges(c, g, at, f, r);
}

static bool check_function(const struct config *c, const struct config_machine *m,
			   const struct config_guest *g, const struct config_pci *at,
			   struct refusal *r)
{
	struct pci_function *f = find(at);

	if (!f) {
		return refuse_at(r, c, g, at, "is not there; the log lists what this machine has");
	}
	if (f->class_revision >> 16 == PCI_CLASS_IOMMU) {
		return refuse_at(r, c, g, at, "is an IOMMU, which is Mullion's");
	}
	if (!pci_is_device(f)) {
		return refuse_at(r, c, g, at, "is a bridge; only devices are passed through");
	}
	if (!iommu && g->dma != DMA_UNSAFE_IDENTITY && (f->master = pci_can_master(f))) {
		return refuse_at(r, c, g, at,
				 "can write to all memory, because this machine has no IOMMU; "
				 "`dma = unsafe-identity` in the guest's section accepts that");
	}
	return check_bars(c, m, g, at, r);
}

/* Has the function no other interrupt than its line? */
bool passthrough_needs_line(const struct pci_function *f)
{
	return !f->cap_msi && !f->cap_msix && f->pin;
}

/* The lines that PIC and firmware use on a PC are not for PCI. */
bool passthrough_usable_line(const struct pci_function *f)
{
	return f->pin && (f->line == 5 || f->line == 7 || (f->line >= 9 && f->line <= 11) ||
			  f->line == 14 || f->line == 15);
}

bool passthrough_shares_line(const struct pci_function *a, const struct pci_function *b)
{
	return passthrough_usable_line(a) && passthrough_usable_line(b) && a->line == b->line;
}

/* A function of one guest, and one of another that stands later in the file. */
struct pair {
	const struct config_guest *a, *b;
	const struct config_pci *at_a, *at_b;
	const struct pci_function *f, *g;
};

static void name_pair(const struct pair *p, char *text, size_t size)
{
	fmt_print(text, size, "PCI %02x:%02x.%x of guest %s and %02x:%02x.%x of guest %s",
		  p->at_a->bus, p->at_a->device, p->at_a->function, p->a->name, p->at_b->bus,
		  p->at_b->device, p->at_b->function, p->b->name);
}

static bool refuse_pair(struct refusal *r, const struct config *c, const struct pair *p,
			const char *why)
{
	char names[128];

	name_pair(p, names, sizeof(names));
	return refuse(r, "%s:%u:%u: error: %s %s; give both to one guest", c->file,
		      p->at_b->place.line, p->at_b->place.col, names, why);
}

/* Where both guests accept that, or have no IOMMU, it is told. One id for two is never possible. */
static bool check_group(const struct config *c, const struct pair *p, struct refusal *r)
{
	const char *why;
	char names[128];

	if (p->f->group != p->g->group) {
		return true;
	}
	why = pci_group_why(p->f, p->g);
	if (iommu && (p->a->dma != DMA_UNSAFE_IDENTITY || p->b->dma != DMA_UNSAFE_IDENTITY ||
		      p->f->requester == p->g->requester)) {
		return refuse_pair(r, c, p, why);
	}
	name_pair(p, names, sizeof(names));
	log_line("WARNING: %s %s", names, why);
	return true;
}

static bool check_pair(const struct config *c, const struct pair *p, struct refusal *r)
{
	char text[32];

	if (passthrough_shares_line(p->f, p->g) && passthrough_needs_line(p->f) &&
	    passthrough_needs_line(p->g)) {
		fmt_print(text, sizeof(text), "share interrupt line %u", p->f->line);
		return refuse_pair(r, c, p, text);
	}
	return check_group(c, p, r);
}

static bool check_pairs(const struct config *c, const struct config_guest *a,
			const struct config_guest *b, struct refusal *r)
{
	for (unsigned i = 0; i < a->pcis; i++) {
		for (unsigned j = 0; j < b->pcis; j++) {
			struct pair p = {a, b, &a->pci[i], &b->pci[j], NULL, NULL};

			p.f = pci_find(passthrough_bdf(p.at_a));
			p.g = pci_find(passthrough_bdf(p.at_b));
			if (!check_pair(c, &p, r)) {
				return false;
			}
		}
	}
	return true;
}

bool passthrough_check(const struct config *c, const struct config_machine *m, struct refusal *r)
{
	for (unsigned i = 0; i < c->guests; i++) {
		for (unsigned n = 0; n < c->guest[i].pcis; n++) {
			if (!check_function(c, m, &c->guest[i], &c->guest[i].pci[n], r)) {
				return false;
			}
		}
	}
	for (unsigned i = 0; i < c->guests; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (!check_pairs(c, &c->guest[j], &c->guest[i], r)) {
				return false;
			}
		}
	}
	return true;
}
