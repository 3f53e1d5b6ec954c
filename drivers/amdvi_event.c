/*
 * AMD-Vi: the event log and the unit's interrupt. Called by amdvi.c for one caller at a time.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"
#include "hv/pci.h"

enum { EVENTS = 256, EVENTS_LOG2 = 8 };
_Static_assert(EVENTS * sizeof(struct amdvi_pair) == PAGE_SIZE, "the log is a page");

/* Low half of an event. */
#define CODE	  FIELD(63, 60)
#define DEVICE	  FIELD(15, 0)
#define INTERRUPT BIT(51)
#define PRESENT	  BIT(52)
#define WRITE	  BIT(53)

enum { PAGE_FAULT = 2 };

static const char *const events[16] = {
	[1] = "the device table entry is wrong",   [3] = "the device table could not be read",
	[4] = "a page table could not be read",	   [5] = "a command is wrong",
	[6] = "a command could not be read",	   [7] = "a device does not answer an invalidation",
	[8] = "a request that no device may make",
};

static const char *page_fault_reason(uint64_t low)
{
	if (low & INTERRUPT) {
		return "an interrupt that nobody gave the device";
	}
	return low & PRESENT ? "an access that the domain does not permit"
			     : "an address that the domain does not have";
}

static void decode_event(const struct amdvi_pair *event, struct iommu_fault *f)
{
	unsigned code = (unsigned)field_get(CODE, event->low);

	*f = (struct iommu_fault){
		.bdf = (uint16_t)field_get(DEVICE, event->low),
		.address = event->high,
		.write = event->low & WRITE,
		.interrupt = code == PAGE_FAULT && (event->low & INTERRUPT),
		.reason = code == PAGE_FAULT ? page_fault_reason(event->low) : events[code],
	};
	if (!f->reason) {
		f->reason = "an event that is not known";
	}
}

void amdvi_events_init(struct amdvi_unit *u)
{
	amdvi_write(u, AMDVI_EVENTS,
		    (u->memory.v + PAGE_SIZE) | field_put(AMDVI_LENGTH, EVENTS_LOG2));
	amdvi_write(u, AMDVI_EVENT_HEAD, 0);
	amdvi_write(u, AMDVI_EVENT_TAIL, 0);
}

/* "Event Logging": the log stops when it is full, and is started again by hand. */
static void restart_log(struct amdvi_unit *u)
{
	uint64_t control = amdvi_read(u, AMDVI_CONTROL);

	amdvi_write(u, AMDVI_CONTROL, control & ~(uint64_t)AMDVI_EVENT_LOG);
	amdvi_wait(u, AMDVI_LOG_RUNS);
	amdvi_write(u, AMDVI_STATUS, AMDVI_OVERFLOW);
	amdvi_events_init(u);
	amdvi_write(u, AMDVI_CONTROL, control | AMDVI_EVENT_LOG);
}

bool amdvi_take_event(struct amdvi_unit *u, struct iommu_fault *f)
{
	unsigned head = (unsigned)(amdvi_read(u, AMDVI_EVENT_HEAD) / sizeof(struct amdvi_pair)) %
			EVENTS;
	struct amdvi_pair *e = &u->events[head];
	uint64_t limit = host_tsc() + host_tsc_hz / 1000;

	amdvi_write(u, AMDVI_STATUS, AMDVI_EVENT_PENDING);
	if (head == amdvi_read(u, AMDVI_EVENT_TAIL) / sizeof(struct amdvi_pair) % EVENTS) {
		if (amdvi_read(u, AMDVI_STATUS) & AMDVI_OVERFLOW) {
			restart_log(u);
		}
		return false;
	}
	/* The tail may move before the entry is written. */
	while (!field_get(CODE, __atomic_load_n(&e->low, __ATOMIC_ACQUIRE)) && host_tsc() < limit) {
		host_relax();
	}
	decode_event(e, f);
	*e = (struct amdvi_pair){0};
	amdvi_write(u, AMDVI_EVENT_HEAD, (head + 1) % EVENTS * sizeof(struct amdvi_pair));
	return true;
}

/* --- the interrupt: PCI Local Bus Specification 3.0, "MSI Capability Structure" --- */

static unsigned find_msi(uint16_t bdf)
{
	unsigned at = 0;

	for (unsigned i = 0; i < PCI_CAPABILITIES_MAX; i++) {
		at = pci_capability_next(bdf, at);
		if (!at || pci_read(bdf, at, 1) == PCI_CAP_MSI) {
			return at;
		}
	}
	return 0;
}

static bool route_msi(uint16_t bdf, uint32_t apic_id, uint8_t vector)
{
	unsigned at = find_msi(bdf);
	uint32_t control, data;
	uint64_t address;

	if (!at || !iommu_plain_msi(apic_id, vector, &address, &data)) {
		return false;
	}
	control = pci_read(bdf, at + MSI_CONTROL, 2) & ~(uint32_t)MSI_COUNT; /* one message */
	pci_write(bdf, at + MSI_ADDRESS, 4, (uint32_t)address);
	if (control & MSI_64) {
		pci_write(bdf, at + MSI_ADDRESS + 4, 4, 0);
	}
	pci_write(bdf, at + (control & MSI_64 ? 12 : 8), 2, data);
	/* A message is a write of the function's. */
	pci_write(bdf, PCI_COMMAND, 2, pci_read(bdf, PCI_COMMAND, 2) | PCI_COMMAND_MASTER);
	pci_write(bdf, at + MSI_CONTROL, 2, control | MSI_ENABLE);
	return true;
}

void amdvi_event_route(struct amdvi_unit *u, uint32_t apic_id, uint8_t vector)
{
	uint64_t control = amdvi_read(u, AMDVI_CONTROL) & ~(uint64_t)AMDVI_EVENT_INTERRUPT;

	amdvi_write(u, AMDVI_CONTROL, control);
	if (vector && u->acpi->segment == 0 && route_msi(u->acpi->bdf, apic_id, vector)) {
		amdvi_write(u, AMDVI_CONTROL, control | AMDVI_EVENT_INTERRUPT);
	}
}
