/*
 * Places for BARs inside the windows of bridges: see pci_place.h (PCI-to-PCI Bridge Architecture
 * Specification, "Memory Base Register and Memory Limit Register" and those beside them).
 *
 * Boot CPU, while the configuration is checked. Pure; it changes `base` of BARs in pci_functions
 * and what the devices' and bridges' registers say. Bus numbers may contradict each other: every
 * way up has an end.
 */
#include "hv/pci_place.h"

enum { DEPTH = 16 /* bridges above each other */ };

#define FOUR_GIB BIT(32)

/* --- the way up --- */

static const struct pci_function *bridge_above(const struct pci_function *f)
{
	for (unsigned i = 0; f->bdf >> 8 && i < pci_function_count; i++) {
		const struct pci_function *o = &pci_functions[i];

		if (o->header_type == 1 && o->secondary && o->secondary == f->bdf >> 8) {
			return o;
		}
	}
	return NULL;
}

static bool is_above(const struct pci_function *bridge, const struct pci_function *f)
{
	for (unsigned n = 0; n < DEPTH && f; n++) {
		f = bridge_above(f);
		if (f == bridge) {
			return true;
		}
	}
	return false;
}

static bool is_subtractive(const struct pci_function *bridge)
{
	return bridge->class_revision >> 8 == PCI_CLASS_SUBTRACTIVE;
}

static bool is_inside(const struct pci_window *w, uint64_t base, uint64_t size)
{
	return size <= w->size && base >= w->base && base - w->base <= w->size - size;
}

/* Memory may be in either window of a bridge: Express has no other kind of read. */
static bool lets_through(const struct pci_function *bridge, bool io, uint64_t base, uint64_t size)
{
	if (is_subtractive(bridge)) {
		return true;
	}
	return io ? is_inside(&bridge->window[PCI_WINDOW_IO], base, size)
		  : is_inside(&bridge->window[PCI_WINDOW_MEMORY], base, size) ||
			       is_inside(&bridge->window[PCI_WINDOW_PREFETCHABLE], base, size);
}

bool pci_reaches(const struct pci_function *f, bool io, uint64_t base, uint64_t size,
		 const struct pci_function **bridge)
{
	const struct pci_function *b = bridge_above(f);

	for (unsigned n = 0; n < DEPTH && b; n++, b = bridge_above(b)) {
		if (!lets_through(b, io, base, size)) {
			*bridge = b;
			return false;
		}
	}
	return true;
}

/* --- what is there --- */

static bool meets(uint64_t base, uint64_t size, uint64_t other, uint64_t bytes, uint64_t *end)
{
	if (!bytes || base >= other + bytes || other >= base + size) {
		return false;
	}
	*end = other + bytes;
	return true;
}

/* Of a bridge that is not above f: all that it forwards belongs to others. */
static bool meets_window(const struct pci_function *o, bool io, uint64_t base, uint64_t size,
			 uint64_t *end)
{
	if (io) {
		return meets(base, size, o->window[PCI_WINDOW_IO].base,
			     o->window[PCI_WINDOW_IO].size, end);
	}
	return meets(base, size, o->window[PCI_WINDOW_MEMORY].base,
		     o->window[PCI_WINDOW_MEMORY].size, end) ||
	       meets(base, size, o->window[PCI_WINDOW_PREFETCHABLE].base,
		     o->window[PCI_WINDOW_PREFETCHABLE].size, end);
}

/* Nobody has asked how large a ROM is: the largest that there can be. */
static bool meets_rom(const struct pci_function *o, uint64_t base, uint64_t size, uint64_t *end)
{
	enum { BRIDGE_ROM = 0x38, ADDRESS = 0xfffff800 };
	uint32_t rom = pci_read(o->bdf, o->header_type == 1 ? BRIDGE_ROM : PCI_ROM, 4);

	return o->header_type <= 1 && (rom & PCI_ROM_ON) && (rom & ADDRESS) &&
	       meets(base, size, rom & ADDRESS, PCI_ROM_MAX, end);
}

/*
 * Has somebody else than what is behind `self`, or BAR i of it, something in the range? *end is
 * behind that. Also those that are not decoded: they keep what firmware gave them.
 */
static bool is_used(const struct pci_function *self, unsigned i, bool io, uint64_t base,
		    uint64_t size, uint64_t *end)
{
	for (unsigned n = 0; n < pci_function_count; n++) {
		const struct pci_function *o = &pci_functions[n];

		if (self->header_type == 1 && is_above(self, o)) {
			continue;
		}
		for (unsigned k = 0; k < PCI_BARS; k++) {
			if ((o != self || k != i) && o->bar[k].base && o->bar[k].io == io &&
			    meets(base, size, o->bar[k].base, o->bar[k].size, end)) {
				return true;
			}
		}
		if (o != self && ((!is_above(o, self) && meets_window(o, io, base, size, end)) ||
				  (!io && meets_rom(o, base, size, end)))) {
			return true;
		}
	}
	return false;
}

/* --- places --- */

/* The bytes of a window that the bridges further up let through too, and the BAR can say. */
static struct pci_window clip(const struct pci_function *bridge, enum pci_window_kind kind,
			      bool wide)
{
	struct pci_window w = bridge->window[kind];

	for (unsigned n = 0; n < DEPTH && bridge && w.size; n++, bridge = bridge_above(bridge)) {
		const struct pci_window *up = &bridge->window[kind];
		uint64_t base = up->base > w.base ? up->base : w.base;
		uint64_t end = up->base + up->size < w.base + w.size ? up->base + up->size
								     : w.base + w.size;

		if (is_subtractive(bridge) || end <= base) {
			w.size = 0;
		} else {
			w = (struct pci_window){base, end - base};
		}
	}
	if (!wide && w.size && w.base + w.size > FOUR_GIB) {
		w.size = w.base < FOUR_GIB ? FOUR_GIB - w.base : 0;
	}
	return w;
}

/* Small ones get a page each, so that no two functions share one. 0: there is no room. */
static uint64_t find_room(const struct pci_function *f, unsigned i, enum pci_window_kind kind,
			  const struct pci_machine *m)
{
	enum { TRIES = 4096 };
	const struct pci_bar *b = &f->bar[i];
	struct pci_window w = clip(bridge_above(f), kind, b->wide);
	uint64_t step = !b->io && b->size < PAGE_SIZE ? PAGE_SIZE : b->size;
	uint64_t at = ALIGN_UP(w.base, step), end;

	for (unsigned n = 0; n < TRIES && at >= w.base && is_inside(&w, at, step); n++) {
		if (is_used(f, i, b->io, at, step, &end)) {
			at = ALIGN_UP(end, step);
		} else if (!b->io && m->taken && m->taken(m->ctx, at, step)) {
			at += step > MIB(1) ? step : MIB(1);
		} else {
			return at;
		}
	}
	return 0;
}

/* Nothing is decoded meanwhile. */
static bool write_bar(const struct pci_function *f, unsigned i, uint64_t at)
{
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);
	unsigned reg = PCI_BAR0 + 4 * i;
	uint64_t is;

	pci_write(f->bdf, PCI_COMMAND, 2,
		  command & ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	pci_write(f->bdf, reg, 4, (uint32_t)at);
	is = pci_read(f->bdf, reg, 4) &
	     (f->bar[i].io ? PCI_BAR_IO_ADDRESS : PCI_BAR_MEMORY_ADDRESS);
	if (f->bar[i].wide) {
		pci_write(f->bdf, reg + 4, 4, (uint32_t)(at >> 32));
		is |= (uint64_t)pci_read(f->bdf, reg + 4, 4) << 32;
	}
	pci_write(f->bdf, PCI_COMMAND, 2, command);
	return is == at;
}

bool pci_place_bar(struct pci_function *f, unsigned i, const struct pci_machine *m,
		   const char **why)
{
	struct pci_bar *b = &f->bar[i];
	enum pci_window_kind kind = b->io	      ? PCI_WINDOW_IO
				    : b->prefetchable ? PCI_WINDOW_PREFETCHABLE
						      : PCI_WINDOW_MEMORY;
	uint64_t at;

	if (!bridge_above(f)) {
		*why = "only firmware knows where the root bus has room";
		return false;
	}
	at = find_room(f, i, kind, m);
	if (!at && kind == PCI_WINDOW_PREFETCHABLE) {
		at = find_room(f, i, PCI_WINDOW_MEMORY, m);
	}
	if (!at) {
		*why = "the windows of the bridges above it have no room";
		return false;
	}
	if (!write_bar(f, i, at)) {
		*why = "it takes no address";
		return false;
	}
	b->base = at;
	return true;
}

/* --- bridges that are off --- */

/* Would what the bridge forwards be its own? */
static bool may_open(const struct pci_function *bridge, const struct pci_machine *m)
{
	const struct pci_function *up;
	uint64_t end;

	for (unsigned k = 0; k < PCI_WINDOWS; k++) {
		const struct pci_window *w = &bridge->window[k];
		bool io = k == PCI_WINDOW_IO;

		if (w->size && (is_used(bridge, PCI_BARS, io, w->base, w->size, &end) ||
				!pci_reaches(bridge, io, w->base, w->size, &up) ||
				(!io && m->taken && m->taken(m->ctx, w->base, w->size)))) {
			return false;
		}
	}
	return true;
}

/* The bits of a bridge's command register that f needs and that are off; 0: the bridge is gone. */
static uint32_t missing_bits(const struct pci_function *f, const struct pci_function *bridge)
{
	uint32_t command = pci_read(bridge->bdf, PCI_COMMAND, 2), wanted = PCI_COMMAND_MASTER;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (f->bar[i].size) {
			wanted |= f->bar[i].io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
		}
	}
	return wanted & ~command;
}

bool pci_way_is_sound(const struct pci_function *f, const struct pci_machine *m,
		      const struct pci_function **bridge)
{
	const struct pci_function *b = bridge_above(f);

	for (unsigned n = 0; n < DEPTH && b; n++, b = bridge_above(b)) {
		if ((missing_bits(f, b) & ~(uint32_t)PCI_COMMAND_MASTER) && !may_open(b, m)) {
			*bridge = b;
			return false;
		}
	}
	return true;
}

void pci_open_way(const struct pci_function *f)
{
	const struct pci_function *b = bridge_above(f);

	for (unsigned n = 0; n < DEPTH && b; n++, b = bridge_above(b)) {
		uint32_t missing = missing_bits(f, b);

		if (missing) {
			pci_write(b->bdf, PCI_COMMAND, 2,
				  pci_read(b->bdf, PCI_COMMAND, 2) | missing);
		}
	}
}
