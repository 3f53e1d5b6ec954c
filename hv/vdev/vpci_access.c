/*
 * Accesses to the config space of a passed-through function, by verdict tables (PCI Local Bus
 * Specification 3.0 "Configuration Space", appendix "Capability IDs"; PCI Express Base "PCI Express
 * Capability").
 *
 * Each register has one of four verdicts. What has no rule is hidden: it reads 0, and a write to it
 * is rejected and told. The guest's BARs, MSI addresses and data, power state and command register
 * are its own and never reach the device as they are. Called by vpci.c under the device lock; no
 * state.
 */
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
	uint32_t mask; /* of bits that a write changes, in each four bytes */
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
	{PCI_BAR0, 4 * PCI_BARS, SHADOW, (uint32_t)ALL, ON_BAR},
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

/*
 * Payload size and FLR stay with us: the one must fit the machine's bridges, the other our BARs. So
 * do error messages: what firmware does on a fatal one is done to the whole machine.
 */
enum { DEVICE_CONTROL_BITS = 0x7810 /* ordering, no snoop, read request size */ };
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

/* --- accesses --- */

static void take_effect(struct vpci *p, struct vpci_function *f, enum effect effect, unsigned reg)
{
	if (effect == ON_BAR) {
		vpci_settle_bar(f, (reg - PCI_BAR0) / 4);
	}
	if ((effect == ON_BAR || effect == ON_COMMAND) && vpci_update_bars(f)) {
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
	uint32_t mask = r->mask >> 8 * (within % 4) & ~0u >> (32 - 8 * size);
	uint16_t bdf = f->pci->bdf;

	switch (r->verdict) {
	case FORWARD:
		if (mask) {
			pci_write(bdf, reg, size, (pci_read(bdf, reg, size) & ~mask) | (v & mask));
		}
		break;
	case FORWARD_CLEAR: pci_write(bdf, reg, size, v & mask); break;
	case SHADOW:
		vpci_function_put(f, reg, size,
				  (vpci_function_get(f, reg, size) & ~mask) | (v & mask));
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
