/*
 * What PCI functions there are, and what they can do: see hv/pci.h (PCI Local Bus Specification 3.0
 * "Configuration Space"; PCI Express Base "Capability Structures").
 *
 * Boot CPU, once; the table is constant afterwards, but for BARs until guests are made. Pure:
 * pci_read, pci_write and pci_access.h are all it knows of the machine, so host tests run it on
 * buses that lie. Every loop is bounded, whatever a device answers: buses are visited once, lists
 * of capabilities have a longest length.
 */
#include "hv/pci.h"
#include "drivers/pci_access.h"
#include "drivers/pci_bars.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/pci_group.h"
#include "hv/pci_text.h"

enum { ABSENT = 0xffff, HEADER_LAYOUT = 0x7f, MULTI_FUNCTION = 0x80 };
enum { EXTENDED_FIRST = 0x100, EXTENDED_MAX = 64, EXTENDED_ACS = 0x0d };

struct pci_function pci_functions[PCI_FUNCTIONS];
unsigned pci_function_count;

const struct pci_function *pci_find(uint16_t bdf)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		if (pci_functions[i].bdf == bdf) {
			return &pci_functions[i];
		}
	}
	return NULL;
}

/* --- capabilities --- */

static bool in_memory_bar(const struct pci_function *f, unsigned bar, uint64_t offset, uint64_t len)
{
	return bar < PCI_BARS && f->bar[bar].size && !f->bar[bar].io &&
	       offset <= f->bar[bar].size && len <= f->bar[bar].size - offset;
}

static void read_msi(struct pci_function *f, unsigned at)
{
	uint32_t control = pci_read(f->bdf, at + MSI_CONTROL, 2);
	unsigned order = control >> 1 & 7;

	f->cap_msi = (uint8_t)at;
	f->msi_vectors = (uint8_t)(1u << (order < 5 ? order : 5));
	f->msi_64 = control & MSI_64;
	f->msi_maskable = control & MSI_MASKABLE;
}

static void read_msix(struct pci_function *f, unsigned at)
{
	uint32_t table = pci_read(f->bdf, at + MSIX_TABLE, 4);
	uint32_t pba = pci_read(f->bdf, at + MSIX_PBA, 4);
	unsigned entries = (pci_read(f->bdf, at + MSIX_CONTROL, 2) & MSIX_SIZE) + 1;

	if (!in_memory_bar(f, table & 7, table & ~7u, (uint64_t)entries * MSIX_ENTRY) ||
	    !in_memory_bar(f, pba & 7, pba & ~7u, ALIGN_UP(entries, 64u) / 8)) {
		log_line("PCI %02x:%02x.%x: its MSI-X table is in no BAR; MSI-X is not used",
			 BDF_PARTS(f->bdf));
		return;
	}
	f->cap_msix = (uint8_t)at;
	f->msix_entries = (uint16_t)entries;
	f->msix_table_bar = table & 7;
	f->msix_table_offset = table & ~7u;
}

static void read_capability(struct pci_function *f, unsigned id, unsigned at)
{
	switch (id) {
	case PCI_CAP_PM: f->cap_pm = (uint8_t)at; break;
	case PCI_CAP_MSI: read_msi(f, at); break;
	case PCI_CAP_MSIX:
		if (pci_is_device(f)) { /* nobody uses a bridge's, and its BARs are not read */
			read_msix(f, at);
		}
		break;
	case PCI_CAP_PCIE:
		f->cap_pcie = (uint8_t)at;
		f->pcie_type = (uint8_t)field_get(PCIE_TYPE, pci_read(f->bdf, at + PCIE_FLAGS, 2));
		f->flr |= pci_read(f->bdf, at + PCIE_DEVICE_CAPS, 4) & PCIE_FLR_CAPABLE;
		break;
	case PCI_CAP_AF:
		f->cap_af = pci_read(f->bdf, at + 3, 1) & 2 ? (uint8_t)at : 0;
		f->flr |= f->cap_af;
		break;
	default: break;
	}
}

static void read_capabilities(struct pci_function *f)
{
	unsigned at = 0;

	for (unsigned n = 0; n < PCI_CAPABILITIES_MAX; n++) {
		at = pci_capability_next(f->bdf, at);
		if (!at) {
			return;
		}
		read_capability(f, pci_read(f->bdf, at, 1), at);
	}
}

/*
 * With an IOMMU all that it is to see must go up to it, as must what functions of one device send
 * each other. Without one nobody would translate it there.
 */
static void read_acs(struct pci_function *f, unsigned at)
{
	f->cap_acs = (uint16_t)at;
	f->acs = (uint16_t)pci_read(f->bdf, at + ACS_CAPS, 2);
	f->acs_on = (uint16_t)pci_read(f->bdf, at + ACS_CONTROL, 2);
	if (iommu) {
		pci_write(f->bdf, at + ACS_CONTROL, 2,
			  (f->acs_on & ~(uint32_t)ACS_DIRECT_TRANSLATED) |
				  (f->acs & (ACS_WANTED | ACS_TRANSLATION_BLOCKING)));
		f->acs_on = (uint16_t)pci_read(f->bdf, at + ACS_CONTROL, 2);
	}
}

static void read_extended(struct pci_function *f)
{
	unsigned at = EXTENDED_FIRST;

	for (unsigned n = 0; n < EXTENDED_MAX && at >= EXTENDED_FIRST; n++) {
		uint32_t head = pci_read(f->bdf, at, 4);

		if (!head || head == ~0u) {
			return;
		}
		if ((head & 0xffff) == EXTENDED_ACS) {
			read_acs(f, at);
		}
		at = head >> 20 & 0xffc;
	}
}

/* --- buses --- */

struct scan {
	uint8_t seen[PCI_FUNCTIONS / 8]; /* buses that are or were in the queue */
	uint8_t queue[PCI_FUNCTIONS];
	unsigned buses;
	bool root; /* the bus is a root bus, but not the first */
	bool full;
};

static void add_bus(struct scan *s, unsigned bus)
{
	if (!(s->seen[bus / 8] >> bus % 8 & 1)) {
		s->seen[bus / 8] |= (uint8_t)(1 << bus % 8);
		s->queue[s->buses++] = (uint8_t)bus;
	}
}

static void read_function(struct scan *s, struct pci_function *f)
{
	f->class_revision = pci_read(f->bdf, PCI_CLASS_REVISION, 4);
	f->header_type = pci_read(f->bdf, PCI_HEADER_TYPE, 1) & HEADER_LAYOUT;
	f->line = (uint8_t)pci_read(f->bdf, PCI_LINE, 1);
	f->pin = (uint8_t)pci_read(f->bdf, PCI_PIN, 1);
	f->pin = f->pin <= 4 ? f->pin : 0;
	if (f->header_type == 1) {
		f->secondary = (uint8_t)pci_read(f->bdf, PCI_BUSES + 1, 1);
		f->subordinate = (uint8_t)pci_read(f->bdf, PCI_BUSES + 2, 1);
		if (f->secondary) { /* 0: firmware has not set it up */
			add_bus(s, f->secondary);
		}
		pci_read_bridge(f);
	} else if (pci_is_device(f)) {
		pci_read_bars(f);
	}
	if (f->header_type <= 1) {
		read_capabilities(f);
	}
	if (f->cap_pcie && pci_access_extended()) {
		read_extended(f);
	}
}

/*
 * On the further root buses of a machine stand dozens of functions that are the CPUs' own
 * registers, some of which have something else where BARs should be. They are left alone.
 */
static bool is_internal(uint16_t bdf)
{
	enum { MEMORY = 5, BRIDGE = 6, SYSTEM = 8, PROCESSOR = 0xb, SIGNAL = 0x11 };
	unsigned layout = pci_read(bdf, PCI_HEADER_TYPE, 1) & HEADER_LAYOUT;

	switch (pci_read(bdf, PCI_CLASS_REVISION + 3, 1)) {
	case BRIDGE: return layout != 1;
	case MEMORY:
	case SYSTEM:
	case PROCESSOR:
	case SIGNAL: return true;
	default: return false;
	}
}

/* False: nobody is there. */
static bool probe(struct scan *s, uint16_t bdf)
{
	struct pci_function *f = &pci_functions[pci_function_count];
	uint32_t id = pci_read(bdf, PCI_VENDOR, 4);

	if ((id & 0xffff) == ABSENT || (id & 0xffff) == 0 || (s->root && !pci_access_agrees(bdf))) {
		return false;
	}
	if (s->root && is_internal(bdf)) {
		return true;
	}
	if (pci_function_count == PCI_FUNCTIONS) {
		s->full = true;
		return true;
	}
	*f = (struct pci_function){
		.bdf = bdf, .vendor = (uint16_t)id, .device = (uint16_t)(id >> 16)};
	read_function(s, f);
	if (pci_read(bdf, PCI_VENDOR, 2) != f->vendor) {
		log_line("PCI %02x:%02x.%x: stopped answering; it is not used", BDF_PARTS(bdf));
		return false;
	}
	pci_function_count++;
	return true;
}

static void scan_bus(struct scan *s, unsigned bus)
{
	for (unsigned device = 0; device < 32; device++) {
		uint16_t bdf = pci_bdf(bus, device, 0);
		uint32_t layout;

		if (!probe(s, bdf)) {
			continue;
		}
		layout = pci_read(bdf, PCI_HEADER_TYPE, 1);
		for (unsigned n = 1; n < 8 && (layout & MULTI_FUNCTION) && layout != 0xff; n++) {
			probe(s, pci_bdf(bus, device, n));
		}
	}
}

static bool is_forwarded(unsigned bus)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		const struct pci_function *f = &pci_functions[i];

		if (f->secondary && bus >= f->secondary && bus <= f->subordinate) {
			return true;
		}
	}
	return false;
}

/* A bus and all that bridges lead to from there. */
static void scan_from(struct scan *s, unsigned bus)
{
	unsigned next = s->buses;

	add_bus(s, bus);
	for (; next < s->buses; next++) {
		s->root = s->queue[next] == bus && bus;
		scan_bus(s, s->queue[next]);
	}
}

void pci_enumerate(const struct acpi_info *a)
{
	struct scan s = {.buses = 0};

	pci_function_count = 0;
	pci_access_init(a);
	scan_from(&s, 0);
	for (unsigned bus = 1; bus <= pci_access_last_bus(); bus++) {
		if (!is_forwarded(bus)) {
			scan_from(&s, bus);
		}
	}
	pci_group_all(pci_functions, pci_function_count);
	for (unsigned i = 0; i < pci_function_count; i++) {
		struct pci_line line;

		log_line("%s", pci_line(&line, &pci_functions[i]));
	}
	if (s.full) {
		log_line("PCI: more than %u functions; the rest is not used", PCI_FUNCTIONS);
	}
}
