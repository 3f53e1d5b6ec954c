/*
 * What lies behind the BARs of passed-through functions, as far as accesses to it exit: I/O ports,
 * memory that shares its page with something else, and MSI-X tables.
 *
 * Called by pc.c under the device lock when nobody else answers. Accesses go to the device byte
 * for byte as the guest made them; only the entries of an MSI-X table are ours.
 */
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/vdev/vpci.h"

/* The BAR that decodes addr, and how many bytes of it are left there; NULL: none. */
static struct vpci_function *find(struct vpci *p, bool io, uint64_t addr, unsigned *bar)
{
	for (unsigned n = 0; n < p->functions; n++) {
		struct vpci_function *f = &p->function[n];

		for (unsigned i = 0; i < PCI_BARS; i++) {
			if (f->pci->bar[i].io == io && f->bar[i].at != VPCI_NOWHERE &&
			    addr >= f->bar[i].at && addr - f->bar[i].at < f->pci->bar[i].size) {
				*bar = i;
				return f;
			}
		}
	}
	return NULL;
}

/* The largest naturally aligned part of `left` bytes at addr that stays inside the BAR. */
static unsigned part_size(uint64_t addr, unsigned left, uint64_t inside, unsigned widest)
{
	unsigned size = widest;

	while (size > left || size > inside || addr % size) {
		size /= 2;
	}
	return size;
}

/* --- MSI-X tables --- */

static bool in_table(const struct vpci_function *f, unsigned bar, uint64_t offset)
{
	return f->pci->cap_msix && bar == f->pci->msix_table_bar &&
	       offset >= f->pci->msix_table_offset &&
	       offset - f->pci->msix_table_offset < vpci_table_size(f);
}

/* Naturally aligned, so inside one entry. Only dwords and qwords are defined; others work too. */
static void access_table(struct vpci *p, struct vpci_function *f, uint64_t offset, unsigned size,
			 bool write, uint64_t *v)
{
	struct vpci_message *m;
	uint32_t entry[4];
	unsigned i;

	offset -= f->pci->msix_table_offset;
	i = (unsigned)(offset / MSIX_ENTRY);
	m = &f->message[i];
	entry[0] = (uint32_t)m->address;
	entry[1] = (uint32_t)(m->address >> 32);
	entry[2] = m->data;
	entry[3] = m->masked ? MSIX_ENTRY_MASKED : 0;
	if (!write) {
		*v = 0;
		memcpy(v, (uint8_t *)entry + offset % MSIX_ENTRY, size);
		return;
	}
	memcpy((uint8_t *)entry + offset % MSIX_ENTRY, v, size);
	m->address = (entry[0] & ~3u) | (uint64_t)entry[1] << 32;
	m->data = entry[2];
	m->masked = entry[3] & MSIX_ENTRY_MASKED;
	p->events->message(p->ctx, f, i, 1);
}

/* --- accesses --- */

static void access_memory(struct vpci *p, struct vpci_function *f, unsigned bar, uint64_t offset,
			  unsigned size, bool write, uint64_t *v)
{
	uint8_t *at = f->bar[bar].host;

	if (in_table(f, bar, offset)) {
		access_table(p, f, offset, size, write, v);
	} else if (!at) {
		*v = ~0ull;
	} else if (write) {
		host_mmio_write(at + offset, size, *v);
	} else {
		*v = host_mmio_read(at + offset, size);
	}
}

static void access_port(const struct vpci_function *f, unsigned bar, uint64_t offset, unsigned size,
			bool write, uint64_t *v)
{
	uint16_t port = (uint16_t)(f->pci->bar[bar].base + offset);

	if (write) {
		host_out(port, size, (uint32_t)*v);
	} else {
		*v = host_in(port, size);
	}
}

bool vpci_window(struct vpci *p, bool io, uint64_t addr, struct bus_access *a)
{
	uint64_t value = a->write ? 0 : ~0ull;
	bool claimed = false;
	unsigned size;

	for (unsigned done = 0; done < a->size; done += size) {
		unsigned bar = 0;
		struct vpci_function *f = find(p, io, addr + done, &bar);
		uint64_t offset, v = a->value >> 8 * done;

		size = 1;
		if (!f) {
			continue;
		}
		offset = addr + done - f->bar[bar].at;
		size = part_size(offset, a->size - done, f->pci->bar[bar].size - offset,
				 io ? 4 : 8);
		if (io) {
			access_port(f, bar, offset, size, a->write, &v);
		} else {
			access_memory(p, f, bar, offset, size, a->write, &v);
		}
		claimed = true;
		if (!a->write) {
			uint64_t mask = size == 8 ? ~0ull : BIT(8 * size) - 1;

			value = (value & ~(mask << 8 * done)) | (v & mask) << 8 * done;
		}
	}
	if (claimed && !a->write) {
		a->value = a->size == 8 ? value : value & (BIT(8 * a->size) - 1);
	}
	return claimed;
}
