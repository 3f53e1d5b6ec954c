/*
 * Physical I/O APICs: see ioapic.h. Which ones there are belongs to this file.
 */
#include "drivers/ioapic.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/lib/lock.h"
#include "hv/log.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 }; /* memory offsets */
enum { IOAPIC_VERSION = 0x01, IOAPIC_PIN_LOW = 0x10, IOAPIC_PIN_HIGH = 0x11 };
enum {
	PIN_LOW_ACTIVE = BIT(13),
	PIN_REMOTE_IRR = BIT(14),
	PIN_LEVEL = BIT(15),
	PIN_MASKED = BIT(16)
};

enum { VERSION_LAST_PIN = FIELD(23, 16), PINS_MOST = (0x100 - IOAPIC_PIN_LOW) / 2 };

struct ioapic {
	volatile uint32_t *at;
	uint8_t id; /* as the MADT tells */
	uint32_t first, pins;
};

static struct ioapic ioapic[ACPI_IOAPICS];
static unsigned ioapics;
static struct lock lock;

static uint32_t read(const struct ioapic *io, unsigned r)
{
	io->at[IOREGSEL / 4] = r;
	return io->at[IOWIN / 4];
}

static void write(const struct ioapic *io, unsigned r, uint32_t v)
{
	io->at[IOREGSEL / 4] = r;
	io->at[IOWIN / 4] = v;
}

static const struct ioapic *find(uint32_t gsi, unsigned *pin)
{
	for (unsigned i = 0; i < ioapics; i++) {
		if (gsi >= ioapic[i].first && gsi - ioapic[i].first < ioapic[i].pins) {
			*pin = gsi - ioapic[i].first;
			return &ioapic[i];
		}
	}
	return NULL;
}

void ioapic_init(const struct acpi_info *a)
{
	ioapics = 0;
	for (unsigned i = 0; i < a->ioapics; i++) {
		struct ioapic *io = &ioapic[ioapics];
		uint32_t version;

		io->at = host_map_mmio(a->ioapic[i].base, PAGE_SIZE);
		io->id = (uint8_t)a->ioapic[i].id;
		io->first = a->ioapic[i].gsi_base;
		version = read(io, IOAPIC_VERSION);
		io->pins = (uint32_t)field_get(VERSION_LAST_PIN, version) + 1;
		/* Firmware lists some that it has turned off: theirs would be others' interrupts.
		 */
		if (!version || io->pins > PINS_MOST) {
			log_line("IOAPIC: none answers at 0x%lx; it is left out",
				 a->ioapic[i].base.v);
			continue;
		}
		for (unsigned pin = 0; pin < io->pins; pin++) {
			write(io, IOAPIC_PIN_LOW + 2 * pin, PIN_MASKED);
			write(io, IOAPIC_PIN_HIGH + 2 * pin, 0);
		}
		log_line("IOAPIC: interrupts %u-%u at 0x%lx, all masked", io->first,
			 io->first + io->pins - 1, a->ioapic[i].base.v);
		ioapics++;
	}
}

static bool route(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, uint32_t bits)
{
	unsigned pin;
	const struct ioapic *io = find(gsi, &pin);
	uint64_t entry;

	if (!io || !(iommu ? iommu->ioapic(io->id, pin, apic_id, vector, level, &entry)
			   : iommu_plain_ioapic(apic_id, vector, level, &entry))) {
		return false;
	}
	lock_take(&lock);
	/* Masked while the two halves do not belong together. */
	write(io, IOAPIC_PIN_LOW + 2 * pin, PIN_MASKED);
	write(io, IOAPIC_PIN_HIGH + 2 * pin, (uint32_t)(entry >> 32));
	write(io, IOAPIC_PIN_LOW + 2 * pin, (uint32_t)entry | bits);
	lock_drop(&lock);
	return true;
}

bool ioapic_route(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, bool low)
{
	return route(gsi, apic_id, vector, level, low ? PIN_LOW_ACTIVE : 0);
}

bool ioapic_route_masked(uint32_t gsi, uint32_t apic_id, uint8_t vector, bool level, bool low)
{
	return route(gsi, apic_id, vector, level, PIN_MASKED | (low ? PIN_LOW_ACTIVE : 0));
}

/*
 * A remapped pin has another vector in its entry than the LAPIC was sent, so the EOI that the LAPIC
 * broadcasts does not reach it: it is told here. Masked, so nothing is sent meanwhile.
 */
static void answer(const struct ioapic *io, unsigned pin, uint32_t v)
{
	enum { FIRST_WITH_EOI = 0x20 };

	if ((read(io, IOAPIC_VERSION) & 0xff) >= FIRST_WITH_EOI) {
		io->at[IOEOI / 4] = v & 0xff;
	} else {
		write(io, IOAPIC_PIN_LOW + 2 * pin, v & ~(uint32_t)PIN_LEVEL);
		write(io, IOAPIC_PIN_LOW + 2 * pin, v);
	}
}

void ioapic_mask(uint32_t gsi, bool masked)
{
	unsigned pin;
	const struct ioapic *io = find(gsi, &pin);
	uint32_t v;

	if (io) {
		lock_take(&lock);
		v = read(io, IOAPIC_PIN_LOW + 2 * pin);
		if (!masked && (v & PIN_MASKED) && (v & PIN_REMOTE_IRR)) {
			answer(io, pin, v);
		}
		v &= ~(uint32_t)PIN_MASKED;
		write(io, IOAPIC_PIN_LOW + 2 * pin, v | (masked ? PIN_MASKED : 0));
		lock_drop(&lock);
	}
}

uint32_t ioapic_isa(const struct acpi_info *a, uint8_t irq, bool *level, bool *low)
{
	*level = false;
	*low = false;
	for (unsigned i = 0; i < a->overrides; i++) {
		if (a->override[i].irq == irq) {
			*level = a->override[i].level;
			*low = a->override[i].low;
			return a->override[i].gsi;
		}
	}
	return irq;
}
