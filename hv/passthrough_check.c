/*
 * What may be passed through, and to whom: the checks of the configuration against the devices that
 * were found. Boot CPU, before any partition is made; no state.
 */
#include "hv/lib/printf.h"
#include "hv/passthrough_part.h"

static bool refuse_at(struct refusal *r, const struct config *c, const struct config_guest *g,
		      const struct config_pci *at, const char *why)
{
	return refuse(r, "%s:%u:%u: error: guest %s: PCI %02x:%02x.%x %s", c->file, at->place.line,
		      at->place.col, g->name, at->bus, at->device, at->function, why);
}

/* Firmware is not believed either: a BAR at 0 or over something of ours would be a door for the
 * guest. */
static bool check_bars(const struct config *c, const struct config_machine *m,
		       const struct config_guest *g, const struct config_pci *at, struct refusal *r)
{
	const struct pci_function *f = pci_find(passthrough_bdf(at));
	char text[96];

	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *b = &f->bar[i];
		const char *met = NULL;

		if (!b->size || b->io) {
			continue;
		}
		if (b->base && m->mmio_taken) {
			met = m->mmio_taken(m->ctx, b->base, b->size);
		}
		if (!b->base || met) {
			fmt_print(text, sizeof(text), "has BAR %u %s%s, as the firmware left it", i,
				  met ? "over " : "without an address", met ? met : "");
			return refuse_at(r, c, g, at, text);
		}
	}
	return true;
}

static bool check_function(const struct config *c, const struct config_machine *m,
			   const struct config_guest *g, const struct config_pci *at,
			   struct refusal *r)
{
	const struct pci_function *f = pci_find(passthrough_bdf(at));

	if (!f) {
		return refuse_at(r, c, g, at, "is not there; the log lists what this machine has");
	}
	if (!pci_is_device(f)) {
		return refuse_at(r, c, g, at, "is a bridge; only devices are passed through");
	}
	if (!iommu && f->master && g->dma != DMA_UNSAFE_IDENTITY) {
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

static bool check_lines(const struct config *c, unsigned ia, unsigned ib, struct refusal *r)
{
	const struct config_guest *a = &c->guest[ia], *b = &c->guest[ib];

	for (unsigned i = 0; i < a->pcis; i++) {
		for (unsigned j = 0; j < b->pcis; j++) {
			const struct pci_function *x = pci_find(passthrough_bdf(&a->pci[i]));
			const struct pci_function *y = pci_find(passthrough_bdf(&b->pci[j]));

			if (passthrough_shares_line(x, y) && passthrough_needs_line(x) &&
			    passthrough_needs_line(y)) {
				return refuse(r,
					      "%s:%u:%u: error: PCI %02x:%02x.%x of guest %s and "
					      "%02x:%02x.%x of guest %s share interrupt line %u; "
					      "give both to one guest",
					      c->file, b->pci[j].place.line, b->pci[j].place.col,
					      a->pci[i].bus, a->pci[i].device, a->pci[i].function,
					      a->name, b->pci[j].bus, b->pci[j].device,
					      b->pci[j].function, b->name, x->line);
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
			if (!check_lines(c, j, i, r)) {
				return false;
			}
		}
	}
	return true;
}
