/*
 * A passed-through function as its guest finds it: capabilities, base address registers, messages
 * (PCI Local Bus Specification 3.0 "Configuration Space"). Accesses are vpci_access.c's. Called
 * under the device lock; the state belongs to the partition.
 */
#include "hv/lib/string.h"
#include "hv/vdev/vpci.h"

/* --- our copy --- */

uint32_t vpci_function_get(const struct vpci_function *f, unsigned reg, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, f->config + reg, size);
	return v;
}

void vpci_function_put(struct vpci_function *f, unsigned reg, unsigned size, uint32_t v)
{
	memcpy(f->config + reg, &v, size);
}

/* --- capabilities --- */

/* Bytes of a capability; 0: the guest does not see it. */
static unsigned capability_size(const struct vpci_function *f, unsigned id, unsigned at)
{
	const struct pci_function *pci = f->pci;
	unsigned len;

	switch (id) {
	case PCI_CAP_PM: return at == pci->cap_pm ? 8 : 0;
	case PCI_CAP_MSI:
		return at == pci->cap_msi
			       ? (pci->msi_64 ? 14u : 10u) + (pci->msi_maskable ? 10u : 0)
			       : 0;
	case PCI_CAP_MSIX: return at == pci->cap_msix ? 12 : 0;
	case PCI_CAP_PCIE:
		len = pci_read(pci->bdf, at + PCIE_FLAGS, 1) & 15;
		len = len >= 2 ? 60 : 20;
		/* Some leave out the end of it, which they do not have. */
		len = len < VPCI_CONFIG - at ? len : VPCI_CONFIG - at;
		return at == pci->cap_pcie ? len : 0;
	case PCI_CAP_VENDOR:
		len = pci_read(pci->bdf, at + 2, 1);
		return len >= 3 && len <= 254 ? len : 0;
	case PCI_CAP_SUBSYSTEM: return 8;
	case PCI_CAP_SATA: return 8;
	default: return 0;
	}
}

static bool overlaps_capability(const struct vpci_function *f, unsigned at, unsigned size)
{
	for (unsigned i = 0; i < f->caps; i++) {
		if (at < f->cap[i].offset + 0u + f->cap[i].size && f->cap[i].offset < at + size) {
			return true;
		}
	}
	return false;
}

void vpci_function_init(struct vpci_function *f)
{
	unsigned at = 0;

	f->caps = 0;
	for (unsigned n = 0; n < PCI_CAPABILITIES_MAX && f->caps < VPCI_CAPABILITIES; n++) {
		unsigned id, size;

		at = pci_capability_next(f->pci->bdf, at);
		if (!at) {
			return;
		}
		id = pci_read(f->pci->bdf, at, 1);
		size = capability_size(f, id, at);
		if (size && at + size <= VPCI_CONFIG && !overlaps_capability(f, at, size)) {
			f->cap[f->caps].id = (uint8_t)id;
			f->cap[f->caps].offset = (uint8_t)at;
			f->cap[f->caps++].size = (uint8_t)size;
		}
	}
}

/* Links the capabilities that are shown, in their order. */
static void link_capabilities(struct vpci_function *f)
{
	unsigned link = PCI_CAPABILITIES;

	for (unsigned i = 0; i < f->caps; i++) {
		f->config[link] = f->cap[i].offset;
		f->config[f->cap[i].offset] = f->cap[i].id;
		link = f->cap[i].offset + 1u;
	}
}

static void reset_pcie(struct vpci_function *f)
{
	enum { TYPE = FIELD(7, 4), LEGACY_ENDPOINT = 0x10, INTEGRATED = 0x90, SLOT = BIT(8) };
	unsigned at = f->pci->cap_pcie;
	uint32_t flags = pci_read(f->pci->bdf, at + PCIE_FLAGS, 2);

	/* It stands on bus 0, below no port: an endpoint of the root complex. */
	if ((flags & TYPE) <= LEGACY_ENDPOINT) {
		flags = (flags & ~(uint32_t)TYPE) | INTEGRATED;
	}
	vpci_function_put(f, at + PCIE_FLAGS, 2, flags & ~(uint32_t)SLOT);
	vpci_function_put(f, at + PCIE_DEVICE_CAPS, 4,
			  pci_read(f->pci->bdf, at + PCIE_DEVICE_CAPS, 4) &
				  ~(uint32_t)PCIE_FLR_CAPABLE);
}

static bool shows(const struct vpci_function *f, unsigned id)
{
	for (unsigned i = 0; i < f->caps; i++) {
		if (f->cap[i].id == id) {
			return true;
		}
	}
	return false;
}

static void reset_capabilities(struct vpci_function *f)
{
	enum { PM_VERSION_BITS = 0x7ff };
	const struct pci_function *pci = f->pci;

	link_capabilities(f);
	if (shows(f, PCI_CAP_PM)) {
		vpci_function_put(f, pci->cap_pm + 2, 2,
				  pci_read(pci->bdf, pci->cap_pm + 2, 2) & PM_VERSION_BITS);
		vpci_function_put(f, pci->cap_pm + PM_CONTROL, 2, PM_NO_SOFT_RESET);
	}
	if (shows(f, PCI_CAP_MSI)) {
		vpci_function_put(f, pci->cap_msi + MSI_CONTROL, 2,
				  pci_read(pci->bdf, pci->cap_msi + MSI_CONTROL, 2) &
					  ~(uint32_t)(MSI_ENABLE | MSI_COUNT));
	}
	if (shows(f, PCI_CAP_MSIX)) {
		vpci_function_put(f, pci->cap_msix + MSIX_CONTROL, 2, pci->msix_entries - 1u);
	}
	if (shows(f, PCI_CAP_PCIE)) {
		reset_pcie(f);
	}
}

/* --- base address registers --- */

/* The bits that are wired: below the size, and what says of which kind the BAR is. */
static uint32_t bar_bits(const struct pci_bar *b)
{
	if (b->io) {
		return PCI_BAR_IO;
	}
	return (b->wide ? (uint32_t)PCI_BAR_WIDE : 0) |
	       (b->prefetchable ? (uint32_t)PCI_BAR_PREFETCHABLE : 0);
}

static bool is_upper_half(const struct vpci_function *f, unsigned i)
{
	return i > 0 && f->pci->bar[i - 1].wide && f->pci->bar[i - 1].size;
}

void vpci_settle_bar(struct vpci_function *f, unsigned i)
{
	const struct pci_bar *b = &f->pci->bar[i];
	unsigned reg = PCI_BAR0 + 4 * i;
	uint32_t v = vpci_function_get(f, reg, 4);

	if (is_upper_half(f, i)) {
		uint64_t mask = ~(f->pci->bar[i - 1].size - 1);

		vpci_function_put(f, reg, 4, v & (uint32_t)(mask >> 32));
	} else if (b->size) {
		vpci_function_put(f, reg, 4,
				  (v & (uint32_t) ~(b->size - 1) & (b->io ? ~3u : ~15u)) |
					  bar_bits(b));
	} else {
		vpci_function_put(f, reg, 4, 0);
	}
}

/* Where BAR i is decoded, by its register and the command register. */
static uint64_t bar_address(const struct vpci_function *f, unsigned i)
{
	const struct pci_bar *b = &f->pci->bar[i];
	uint32_t command = vpci_command(f);
	unsigned reg = PCI_BAR0 + 4 * i;
	uint64_t at = vpci_function_get(f, reg, 4);

	if (!b->size || !(command & (b->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
		return VPCI_NOWHERE;
	}
	if (b->io) {
		return at & PCI_BAR_IO_ADDRESS;
	}
	at &= PCI_BAR_MEMORY_ADDRESS;
	return b->wide ? at | (uint64_t)vpci_function_get(f, reg + 4, 4) << 32 : at;
}

bool vpci_update_bars(struct vpci_function *f)
{
	bool changed = false;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint64_t at = bar_address(f, i);

		changed |= at != f->bar[i].at;
		f->bar[i].at = at;
	}
	return changed;
}

/* --- messages --- */

unsigned vpci_msi_count(const struct vpci_function *f)
{
	unsigned order = vpci_function_get(f, f->pci->cap_msi + MSI_CONTROL, 2) >> 4 & 7;
	unsigned wanted = 1u << (order < 5 ? order : 5);

	return wanted < f->pci->msi_vectors ? wanted : f->pci->msi_vectors;
}

static bool msi_message(const struct vpci_function *f, unsigned i, uint64_t *address,
			uint32_t *data)
{
	const struct pci_function *pci = f->pci;
	unsigned count = vpci_msi_count(f);

	if (i >= count ||
	    (pci->msi_maskable && (vpci_function_get(f, pci_msi_mask(pci), 4) >> i & 1))) {
		return false;
	}
	*address = vpci_function_get(f, pci->cap_msi + MSI_ADDRESS, 4);
	if (pci->msi_64) {
		*address |= (uint64_t)vpci_function_get(f, pci->cap_msi + MSI_ADDRESS + 4, 4) << 32;
	}
	/* The device puts the number of the vector into the low bits. */
	*data = (vpci_function_get(f, pci_msi_data(pci), 2) & ~(count - 1)) | i;
	return true;
}

bool vpci_message_active(const struct vpci_function *f, unsigned i, uint64_t *address,
			 uint32_t *data)
{
	if (vpci_msix_on(f)) {
		uint32_t control = vpci_function_get(f, f->pci->cap_msix + MSIX_CONTROL, 2);

		*address = f->message[i].address;
		*data = f->message[i].data;
		return i < f->pci->msix_entries && !f->message[i].masked &&
		       !(control & MSIX_MASK_ALL);
	}
	return vpci_msi_on(f) && msi_message(f, i, address, data);
}

/* --- the start --- */

void vpci_function_reset(struct vpci_function *f)
{
	memset(f->config, 0, sizeof(f->config));
	vpci_function_put(f, PCI_COMMAND, 2,
			  pci_read(f->pci->bdf, PCI_COMMAND, 2) &
				  (PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	f->config[PCI_HEADER_TYPE] = f->multifunction ? 0x80 : 0;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		vpci_function_put(f, PCI_BAR0 + 4 * i, 4,
				  is_upper_half(f, i) ? (uint32_t)(f->start[i - 1] >> 32)
						      : (uint32_t)f->start[i]);
		vpci_settle_bar(f, i);
		f->bar[i].told = false;
	}
	f->config[PCI_LINE] = f->intx ? f->isa_irq : 0xff;
	f->config[PCI_PIN] = f->intx ? f->pci->pin : 0;
	reset_capabilities(f);
	for (unsigned i = 0; i < f->messages; i++) {
		f->message[i].address = 0;
		f->message[i].data = 0;
		f->message[i].masked = true;
	}
	vpci_update_bars(f);
}
