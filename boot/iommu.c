/*
 * DMA remapping at boot: see iommu.h. Called by main.c; the boot CPU takes the units' interrupts.
 */
#include "boot/iommu.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "boot/main.h"
#include "boot/memory.h"
#include "drivers/iommu.h"
#include "drivers/lapic.h"
#include "hv/log.h"
#include "hv/passthrough.h"

static const void *map_table(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return paging_map_firmware(at, len);
}

static const char *memory_at(void *ctx, uint64_t base, uint64_t size)
{
	return memory_meets(ctx, base, size);
}

/* --- faults --- */

/* After TOLD of them a device is quiet; after LOST more, from whatever device, the machine is. */
enum { TOLD = 8, LOST = 64, DEVICES = 64 };

static struct {
	uint16_t bdf;
	bool owned; /* what a device did before a guest had it does not count for the guest */
	unsigned faults;
} faulty[DEVICES];
static unsigned faulty_devices, lost;

/* How many faults this device has had, with this one. */
static unsigned count_fault(const struct iommu_fault *f)
{
	for (unsigned i = 0; i < faulty_devices; i++) {
		if (faulty[i].bdf == f->bdf && faulty[i].owned == f->owned) {
			return ++faulty[i].faults;
		}
	}
	if (faulty_devices == DEVICES) {
		return TOLD + 1;
	}
	faulty[faulty_devices].bdf = f->bdf;
	faulty[faulty_devices].owned = f->owned;
	return faulty[faulty_devices++].faults = 1;
}

static void tell(const struct iommu_fault *f)
{
	log_line("%s: device %02x:%02x.%x: %s of 0x%lx blocked: %s", iommu->name, f->bdf >> 8,
		 f->bdf >> 3 & 31, f->bdf & 7, f->write ? "write" : "read", f->address, f->reason);
}

/*
 * A guest that is stopped for it ends soon, and its device is told to be quiet until it starts
 * again: that happens once a second at most, and is none of those that are lost.
 */
static void take_fault(const struct iommu_fault *f)
{
	unsigned faults = count_fault(f);
	bool stopped = f->owned && passthrough_dma_fault(f);

	if (faults <= TOLD) {
		tell(f);
	} else if (!stopped) {
		lost++;
	}
	if (faults == TOLD) {
		log_line("%s: device %02x:%02x.%x: more of its faults will not be told",
			 iommu->name, f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
	}
	if (faults >= TOLD || stopped) {
		iommu->quiet(f->bdf); /* again, if it was given to another guest meanwhile */
	}
}

static void fault_interrupt(uint8_t vector)
{
	struct iommu_fault f;

	(void)vector;
	while (lost < LOST && iommu->take_fault(&f)) {
		take_fault(&f);
	}
	if (lost == LOST) {
		log_line("%s: too many faults; more will not be told", iommu->name);
		iommu->fault_interrupt(0, 0);
	}
}

/* --- bring-up --- */

bool iommu_start(const struct boot_info *b, const struct acpi_info *a, struct refusal *r)
{
	static struct iommu_machine machine;
	struct refusal none = {0};

	machine = (struct iommu_machine){.acpi = a,
					 .map = map_table,
					 .memory = memory_at,
					 .memory_ctx = (void *)(uintptr_t)b,
					 .x2apic = lapic_x2apic()};
	if (boot_option(b, "iommu=off")) {
		log_line("IOMMU: left alone, as the command line says");
		return true;
	}
	if (!iommu_probe(&machine, &none)) {
		log_line("IOMMU: %s", none.text[0] ? none.text : "none");
		return true;
	}
	if (!iommu->enable(r)) {
		return false;
	}
	irq_handle(VECTOR_IOMMU, fault_interrupt);
	iommu->fault_interrupt(lapic_id(), VECTOR_IOMMU);
	return true;
}
