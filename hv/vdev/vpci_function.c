/*
 * The config space of a passed-through function, by verdict tables (PCI Local Bus Specification 3.0
 * "Configuration Space", appendix "Capability IDs"; PCI Express Base "PCI Express Capability").
 *
 * Each register has one of four verdicts. What has no rule is hidden: it reads 0, and a write to it
 * is rejected and told. The guest's BARs, MSI addresses and data, power state and command register
 * are its own and never reach the device as they are. Called by vpci.c under the device lock; the
 * state belongs to the partition.
 */
#include "hv/lib/string.h"
#include "hv/vdev/vpci.h"

enum verdict {
	FORWARD,       /* the device's; a write changes the bits of the mask */
	FORWARD_CLEAR, /* the same, but bits are cleared by writing ones: others are written 0 */
	SHADOW,	       /* ours; a write changes the bits of the mask */
	HIDE,	       /* reads 0, writes are rejected */
};

enum effect { NOTHING, ON_COMMAND, ON_BAR, ON_MSI, ON_MSIX };

struct rule {
	uint8_t offset, size;
	enum verdict verdict;
	uint32_t mask; /* of bits that a write changes */
	enum effect effect;
};

struct rules {
	const struct rule *rule;
	unsigned count;
};

enum {
	COMMAND_BITS = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		       PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF,
	STATUS_ERRORS = 0xf900,
	ALL = -1,
};

/* What firmware on a PC writes to no purpose (ROM, BIST) is shadowed without a bit to change. */
static const struct rule header[] = {
	{PCI_VENDOR, 4, FORWARD, 0, NOTHING},
	{PCI_COMMAND, 2, SHADOW, COMMAND_BITS, ON_COMMAND},
	{PCI_STATUS, 2, FORWARD_CLEAR, STATUS_ERRORS, NOTHING},
	{PCI_CLASS_REVISION, 4, FORWARD, 0, NOTHING},
	{PCI_CACHE_LINE, 2, FORWARD, 0xffff, NOTHING}, /* and the latency timer */
	{PCI_HEADER_TYPE, 2, SHADOW, 0, NOTHING},      /* and BIST */
	{PCI_BAR0, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{PCI_BAR0 + 4, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{PCI_BAR0 + 8, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{PCI_BAR0 + 12, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{PCI_BAR0 + 16, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{PCI_BAR0 + 20, 4, SHADOW, (uint32_t)ALL, ON_BAR},
	{0x28, 4, SHADOW, 0, NOTHING},	/* CardBus CIS */
	{0x2c, 4, FORWARD, 0, NOTHING}, /* subsystem */
	{PCI_ROM, 4, SHADOW, 0, NOTHING},
	{PCI_CAPABILITIES, 8, SHADOW, 0, NOTHING},
	{PCI_LINE, 1, SHADOW, 0xff, NOTHING},
	{PCI_PIN, 1, SHADOW, 0, NOTHING},
	{0x3e, 2, FORWARD, 0, NOTHING}, /* grant and latency */
};

/* Every capability begins with its id and the place of the next one we show. */
#define LINK                                                                                       \
	{                                                                                          \
		0, 2, SHADOW, 0, NOTHING                                                           \
	}

/* The guest may think that it has powered the device down; a real D3 would reset its BARs. */
static const struct rule pm[] = {
	LINK,
	{2, 2, SHADOW, 0, NOTHING},
	{PM_CONTROL, 2, SHADOW, PM_STATE, NOTHING},
	{6, 2, SHADOW, 0, NOTHING},
};

static const struct rule msi_32[] = {
	LINK,
	{MSI_CONTROL, 2, SHADOW, MSI_ENABLE | MSI_COUNT, ON_MSI},
	{MSI_ADDRESS, 4, SHADOW, ~3u, ON_MSI},
	{8, 2, SHADOW, 0xffff, ON_MSI},
	{10, 2, SHADOW, 0, NOTHING},
	{12, 4, SHADOW, (uint32_t)ALL, ON_MSI}, /* mask */
	{16, 4, FORWARD, 0, NOTHING},		/* pending */
};

static const struct rule msi_64[] = {
	LINK,
	{MSI_CONTROL, 2, SHADOW, MSI_ENABLE | MSI_COUNT, ON_MSI},
	{MSI_ADDRESS, 4, SHADOW, ~3u, ON_MSI},
	{8, 4, SHADOW, (uint32_t)ALL, ON_MSI},
	{12, 2, SHADOW, 0xffff, ON_MSI},
	{14, 2, SHADOW, 0, NOTHING},
	{16, 4, SHADOW, (uint32_t)ALL, ON_MSI},
	{20, 4, FORWARD, 0, NOTHING},
};

static const struct rule msix[] = {
	LINK,
	{MSIX_CONTROL, 2, SHADOW, MSIX_ENABLE | MSIX_MASK_ALL, ON_MSIX},
	{MSIX_TABLE, 8, FORWARD, 0, NOTHING},
};

/* Payload size and FLR stay with us: the one must fit the machine's bridges, the other our BARs. */
enum { DEVICE_CONTROL_BITS = 0x781f /* error reports, ordering, no snoop, read request size */ };
static const struct rule pcie[] = {
	LINK,
	{PCIE_FLAGS, 2, SHADOW, 0, NOTHING},
	{PCIE_DEVICE_CAPS, 4, SHADOW, 0, NOTHING},
	{PCIE_DEVICE_CONTROL, 2, FORWARD, DEVICE_CONTROL_BITS, NOTHING},
	{PCIE_DEVICE_STATUS, 2, FORWARD_CLEAR, 0xf, NOTHING},
	{12, 24, FORWARD, 0, NOTHING},	 /* link, slot, root */
	{36, 4, FORWARD, 0, NOTHING},	 /* device capabilities 2 */
	{40, 2, FORWARD, 0x1f, NOTHING}, /* completion timeout */
	{42, 18, FORWARD, 0, NOTHING},
};

/* Vendors describe with these where things are (virtio): to be read only. */
static const struct rule read_only[] = {LINK, {2, 254, FORWARD, 0, NOTHING}};

#define RULES(a) ((struct rules){a, ARRAY_SIZE(a)})

static struct rules rules_of(const struct vpci_function *f, unsigned id)
{
	switch (id) {
	case PCI_CAP_PM: return RULES(pm);
	case PCI_CAP_MSI: return f->pci->msi_64 ? RULES(msi_64) : RULES(msi_32);
	case PCI_CAP_MSIX: return RULES(msix);
	case PCI_CAP_PCIE: return RULES(pcie);
	default: return RULES(read_only);
	}
}

/* --- our copy --- */

uint32_t vpci_function_get(const struct vpci_function *f, unsigned reg, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, f->config + reg, size);
	return v;
}

static void put(struct vpci_function *f, unsigned reg, unsigned size, uint32_t v)
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
		return at == pci->cap_pcie ? (len >= 2 ? 60 : 20) : 0;
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
	put(f, at + PCIE_FLAGS, 2, flags & ~(uint32_t)SLOT);
	put(f, at + PCIE_DEVICE_CAPS, 4,
	    pci_read(f->pci->bdf, at + PCIE_DEVICE_CAPS, 4) & ~(uint32_t)PCIE_FLR_CAPABLE);
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
		put(f, pci->cap_pm + 2, 2,
		    pci_read(pci->bdf, pci->cap_pm + 2, 2) & PM_VERSION_BITS);
		put(f, pci->cap_pm + PM_CONTROL, 2, PM_NO_SOFT_RESET);
	}
	if (shows(f, PCI_CAP_MSI)) {
		put(f, pci->cap_msi + MSI_CONTROL, 2,
		    pci_read(pci->bdf, pci->cap_msi + MSI_CONTROL, 2) &
			    ~(uint32_t)(MSI_ENABLE | MSI_COUNT));
	}
	if (shows(f, PCI_CAP_MSIX)) {
		put(f, pci->cap_msix + MSIX_CONTROL, 2, pci->msix_entries - 1u);
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

static void settle_bar(struct vpci_function *f, unsigned i)
{
	const struct pci_bar *b = &f->pci->bar[i];
	unsigned reg = PCI_BAR0 + 4 * i;
	uint32_t v = vpci_function_get(f, reg, 4);

	if (is_upper_half(f, i)) {
		uint64_t mask = ~(f->pci->bar[i - 1].size - 1);

		put(f, reg, 4, v & (uint32_t)(mask >> 32));
	} else if (b->size) {
		put(f, reg, 4,
		    (v & (uint32_t) ~(b->size - 1) & (b->io ? ~3u : ~15u)) | bar_bits(b));
	} else {
		put(f, reg, 4, 0);
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

static bool update_bars(struct vpci_function *f)
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

/* --- accesses --- */

void vpci_function_reset(struct vpci_function *f)
{
	memset(f->config, 0, sizeof(f->config));
	put(f, PCI_COMMAND, 2,
	    pci_read(f->pci->bdf, PCI_COMMAND, 2) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	f->config[PCI_HEADER_TYPE] = f->multifunction ? 0x80 : 0;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		put(f, PCI_BAR0 + 4 * i, 4,
		    is_upper_half(f, i) ? (uint32_t)(f->start[i - 1] >> 32)
					: (uint32_t)f->start[i]);
		settle_bar(f, i);
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
	update_bars(f);
}

static void take_effect(struct vpci *p, struct vpci_function *f, enum effect effect, unsigned reg)
{
	if (effect == ON_BAR) {
		settle_bar(f, (reg - PCI_BAR0) / 4);
	}
	if ((effect == ON_BAR || effect == ON_COMMAND) && update_bars(f)) {
		p->events->decode(p->ctx, f);
	}
	if (effect == ON_COMMAND) {
		p->events->intx(p->ctx, f);
	}
	if (effect == ON_MSI || effect == ON_MSIX) {
		p->events->intx(p->ctx, f);
		p->events->message(p->ctx, f, 0, f->messages);
	}
}

static void write_rule(struct vpci *p, struct vpci_function *f, const struct rule *r, unsigned reg,
		       unsigned within, unsigned size, uint32_t v)
{
	uint32_t mask = within < 4 ? r->mask >> 8 * within : 0;
	uint16_t bdf = f->pci->bdf;

	mask &= ~0u >> (32 - 8 * size);
	switch (r->verdict) {
	case FORWARD:
		if (mask) {
			pci_write(bdf, reg, size, (pci_read(bdf, reg, size) & ~mask) | (v & mask));
		}
		break;
	case FORWARD_CLEAR: pci_write(bdf, reg, size, v & mask); break;
	case SHADOW:
		put(f, reg, size, (vpci_function_get(f, reg, size) & ~mask) | (v & mask));
		take_effect(p, f, r->effect, reg);
		break;
	case HIDE: break;
	}
}

/* The rule for a register, and the start of what it belongs to; NULL: hidden. */
static const struct rule *find_rule(const struct vpci_function *f, unsigned reg, unsigned *base)
{
	struct rules rules = RULES(header);

	*base = 0;
	if (reg >= PCI_HEADER_END) {
		unsigned i = 0;

		while (i < f->caps &&
		       (reg < f->cap[i].offset || reg - f->cap[i].offset >= f->cap[i].size)) {
			i++;
		}
		if (i == f->caps) {
			return NULL;
		}
		*base = f->cap[i].offset;
		rules = rules_of(f, f->cap[i].id);
	}
	for (unsigned i = 0; i < rules.count; i++) {
		unsigned start = *base + rules.rule[i].offset;

		if (reg >= start && reg - start < rules.rule[i].size) {
			return &rules.rule[i];
		}
	}
	return NULL;
}

/* size bytes that one rule decides; false: it takes two halves. */
static bool access_whole(struct vpci *p, struct vpci_function *f, unsigned reg, unsigned size,
			 bool write, uint32_t *v)
{
	unsigned base, other;
	const struct rule *r = find_rule(f, reg, &base);

	if (find_rule(f, reg + size - 1, &other) != r) {
		return false;
	}
	if (!r && size > 1) {
		return false; /* the other bytes may have a rule between */
	}
	if (!r) {
		if (write && *v) {
			p->events->rejected(p->ctx, f, f->pci->bdf, reg);
		}
		*v = 0;
	} else if (write) {
		write_rule(p, f, r, reg, reg - base - r->offset, size, *v);
	} else if (r->verdict == SHADOW) {
		*v = vpci_function_get(f, reg, size);
	} else {
		*v = pci_read(f->pci->bdf, reg, size);
	}
	return true;
}

static void access_part(struct vpci *p, struct vpci_function *f, unsigned reg, unsigned size,
			bool write, uint32_t *v)
{
	unsigned half = size / 2;
	uint32_t low, high;

	if (reg % size == 0 && access_whole(p, f, reg, size, write, v)) {
		return;
	}
	low = *v & (~0u >> (32 - 8 * half));
	high = *v >> 8 * half;
	access_part(p, f, reg, half, write, &low);
	access_part(p, f, reg + half, half, write, &high);
	*v = low | high << 8 * half;
}

void vpci_function_access(struct vpci *p, struct vpci_function *f, unsigned reg,
			  struct bus_access *a)
{
	uint32_t v = (uint32_t)a->value;

	access_part(p, f, reg, a->size, a->write, &v);
	if (!a->write) {
		a->value = v;
	}
}
