/*
 * What a PCI function decodes, and what a bridge forwards: see pci_bars.h (PCI Local Bus
 * Specification 3.0 "Base Addresses"; PCI-to-PCI Bridge Architecture Specification).
 *
 * Called by pci.c on the boot CPU. Pure, as that is.
 */
#include "drivers/pci_bars.h"
#include "hv/iommu.h"

/* --- base address registers --- */

/* What is left of a register after all ones were written: its lowest bit is the size. */
static uint64_t lowest_bit(uint64_t v)
{
	return v & (~v + 1);
}

static uint32_t size_mask(uint16_t bdf, unsigned reg, uint32_t value)
{
	uint32_t mask;

	pci_write(bdf, reg, 4, ~0u);
	mask = pci_read(bdf, reg, 4);
	pci_write(bdf, reg, 4, value);
	return mask;
}

/* Sizes BAR i; returns how many registers it takes. */
static unsigned read_bar(struct pci_function *f, unsigned i, unsigned count)
{
	unsigned reg = PCI_BAR0 + 4 * i;
	uint32_t value = pci_read(f->bdf, reg, 4);
	uint32_t mask = size_mask(f->bdf, reg, value);
	struct pci_bar *b = &f->bar[i];
	uint64_t high = 0, high_mask = ~0u;

	if (mask & PCI_BAR_IO) {
		b->io = true;
		b->base = value & PCI_BAR_IO_ADDRESS & 0xffff;
		b->size = lowest_bit(mask & PCI_BAR_IO_ADDRESS & 0xffff);
		return 1;
	}
	b->prefetchable = mask & PCI_BAR_PREFETCHABLE;
	b->wide = (mask & PCI_BAR_WIDE) && i + 1 < count;
	if (b->wide) {
		high = pci_read(f->bdf, reg + 4, 4);
		high_mask = size_mask(f->bdf, reg + 4, (uint32_t)high);
	}
	b->base = (value & PCI_BAR_MEMORY_ADDRESS) | high << 32;
	b->size = lowest_bit((mask & PCI_BAR_MEMORY_ADDRESS) | high_mask << 32);
	if (!(mask & PCI_BAR_MEMORY_ADDRESS) && (!b->wide || !(uint32_t)high_mask)) {
		b->size = 0;
	}
	return b->wide ? 2 : 1;
}

/* An IDE channel in compatibility mode answers at the ports of a PC, whatever its BARs say. */
static void drop_compatible(struct pci_function *f)
{
	enum { FIRST_NATIVE = BIT(8), SECOND_NATIVE = BIT(10) }; /* programming interface */

	for (unsigned i = 0; i < 4 && f->class_revision >> 16 == PCI_CLASS_IDE; i++) {
		if (!(f->class_revision & (i < 2 ? FIRST_NATIVE : SECOND_NATIVE))) {
			f->bar[i] = (struct pci_bar){0};
		}
	}
}

/* Decoding is off meanwhile, so that no address is answered by two. */
static void size_bars(struct pci_function *f, uint32_t command, unsigned count)
{
	pci_write(f->bdf, PCI_COMMAND, 2,
		  command & ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < count;) {
		i += read_bar(f, i, count);
	}
}

void pci_read_bars(struct pci_function *f)
{
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);

	size_bars(f, command, PCI_BARS);
	drop_compatible(f);
	pci_write(f->bdf, PCI_COMMAND, 2, command);
	f->master = !iommu || pci_can_master(f);
}

/* The bit is wired to 0 in a function that never masters the bus. */
bool pci_can_master(const struct pci_function *f)
{
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2), then;

	pci_write(f->bdf, PCI_COMMAND, 2, command | PCI_COMMAND_MASTER);
	then = pci_read(f->bdf, PCI_COMMAND, 2);
	pci_write(f->bdf, PCI_COMMAND, 2, command);
	return then & PCI_COMMAND_MASTER;
}

/* --- bridges --- */

/* Closed when it ends before it begins, or begins at 0, as one does that is not there. */
static struct pci_window window(uint64_t base, uint64_t limit)
{
	return base && limit > base ? (struct pci_window){base, limit - base + 1}
				    : (struct pci_window){0, 0};
}

static void read_windows(struct pci_function *f)
{
	enum { WIDE = BIT(0), ADDRESS = 0xfff0 };
	uint32_t io = pci_read(f->bdf, PCI_IO_WINDOW, 2);
	uint32_t memory = pci_read(f->bdf, PCI_MEMORY_WINDOW, 4);
	uint32_t fast = pci_read(f->bdf, PCI_PREFETCHABLE_WINDOW, 4);
	uint64_t base = 0, limit = 0;

	/* Ports beyond 16 bits no x86 CPU has. */
	if (!(io & WIDE) || !pci_read(f->bdf, PCI_IO_WINDOW_UPPER, 2)) {
		f->window[PCI_WINDOW_IO] = window((io & 0xf0) << 8, (io & 0xf000) | 0xfff);
	}
	f->window[PCI_WINDOW_MEMORY] = window((memory & ADDRESS) << 16,
					      (memory & ~0xfffffu) | 0xfffff);
	if (fast & WIDE) {
		base = (uint64_t)pci_read(f->bdf, PCI_PREFETCHABLE_WINDOW + 4, 4) << 32;
		limit = (uint64_t)pci_read(f->bdf, PCI_PREFETCHABLE_WINDOW + 8, 4) << 32;
	}
	f->window[PCI_WINDOW_PREFETCHABLE] = window(base | (fast & ADDRESS) << 16,
						    limit | (fast & ~0xfffffu) | 0xfffff);
}

/* Registers of its own, which are in nobody's way unless they have an address. */
static void read_bridge_bars(struct pci_function *f)
{
	enum { BARS = 2, ADDRESS = 0xfffffff0 };

	if ((pci_read(f->bdf, PCI_BAR0, 4) | pci_read(f->bdf, PCI_BAR0 + 4, 4)) & ADDRESS) {
		uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);

		size_bars(f, command, BARS);
		pci_write(f->bdf, PCI_COMMAND, 2, command);
	}
}

void pci_read_bridge(struct pci_function *f)
{
	read_windows(f);
	read_bridge_bars(f);
}
