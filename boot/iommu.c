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

static const void *map_table(void *ctx, hpa_t at, uint64_t len)
{
	(void)ctx;
	return paging_map_firmware(at, len);
}

static const char *memory_at(void *ctx, uint64_t base, uint64_t size)
{
	return memory_meets(ctx, base, size);
}

/* A device that is driven to it faults at its own pace: after some of them nobody listens. */
static void fault_interrupt(uint8_t vector)
{
	enum { REPORTS = 64 };
	static unsigned reports;
	struct iommu_fault f;

	(void)vector;
	while (iommu->take_fault(&f)) {
		log_line("%s: device %02x:%02x.%x: %s of 0x%lx blocked: %s", iommu->name,
			 f.bdf >> 8, f.bdf >> 3 & 31, f.bdf & 7, f.write ? "write" : "read",
			 f.address, f.reason);
		if (++reports == REPORTS) {
			log_line("%s: %u faults told; more will not be", iommu->name, REPORTS);
			iommu->fault_interrupt(0, 0);
			return;
		}
	}
}

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
