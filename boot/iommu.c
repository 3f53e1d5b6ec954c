/*
 * DMA remapping at boot: see iommu.h. Called by main.c. The boot CPU takes the units' interrupts;
 * the CPU of a partition that ends takes what is recorded then. The counts of faults belong here.
 */
#include "boot/iommu.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "boot/main.h"
#include "boot/memory.h"
#include "drivers/iommu.h"
#include "drivers/lapic.h"
#include "hv/console/console.h"
#include "hv/host.h"
#include "hv/iommu_faults.h"
#include "hv/lib/lock.h"
#include "hv/log.h"
#include "hv/passthrough.h"

static const char *memory_at(void *ctx, uint64_t base, uint64_t size)
{
	return memory_meets(ctx, base, size);
}

/* --- faults --- */

static struct lock fault_lock; /* of all below, and of the units' records */
static struct iommu_faults faults;
static uint32_t boot_apic_id;
/* No fault is taken before this TSC, after a storm of them; 0: none is on. Boot CPU writes. */
static _Atomic uint64_t deaf_until;

static void tell(const struct iommu_fault *f, bool last)
{
	log_line("%s: device %02x:%02x.%x: %s of 0x%lx blocked: %s", iommu->name, BDF_PARTS(f->bdf),
		 f->write ? "write" : "read", f->address, f->reason);
	if (last) {
		log_line("%s: device %02x:%02x.%x: more of its faults will not be told",
			 iommu->name, BDF_PARTS(f->bdf));
	}
}

/*
 * Quiet first: a guest that is stopped may start anew at once, and its device is heard again. What
 * nobody owns may need a table to be quiet, which only the boot CPU can make.
 */
static bool take_fault(const struct iommu_fault *f)
{
	struct iommu_fault_verdict v = iommu_faults_judge(&faults, f, host_tsc());

	if (v.quiet && (f->owned || host_cpu() == 0)) {
		iommu->quiet(f->bdf);
	}
	if (v.told) {
		tell(f, v.last);
	}
	if (f->owned) {
		passthrough_dma_fault(f, v.many);
	}
	return !v.storm;
}

static void turn_deaf(void)
{
	static unsigned storms;

	iommu->fault_interrupt(0, 0);
	atomic_store(&deaf_until, host_tsc() + host_tsc_hz);
	if (storms < IOMMU_FAULTS_TOLD) {
		storms++;
		log_line("%s: too many faults; none is taken for a second%s", iommu->name,
			 storms == IOMMU_FAULTS_TOLD ? ", and the next time that is not told" : "");
	}
	console_wake(); /* calls iommu_watch */
}

/* Devices that are as fast as this loop do not keep it. */
static void take_faults(void)
{
	uint64_t limit = host_tsc() + host_tsc_hz / 10;
	struct iommu_fault f;

	if (atomic_load(&deaf_until)) {
		if (host_tsc() < atomic_load(&deaf_until)) {
			return;
		}
		atomic_store(&deaf_until, 0);
		iommu->fault_interrupt(boot_apic_id, VECTOR_IOMMU);
	}
	while (iommu->take_fault(&f)) {
		if (!take_fault(&f) || host_tsc() > limit) {
			turn_deaf();
			return;
		}
	}
}

/* A unit's interrupt, or iommu_watch's. */
static void fault_interrupt(uint8_t vector)
{
	(void)vector;
	lock_take(&fault_lock);
	take_faults();
	lock_drop(&fault_lock);
}

/* Not more than the logs can have held: other devices may go on. */
void host_dma_settle(uint16_t bdf)
{
	struct iommu_fault f;

	if (!iommu) {
		return;
	}
	lock_take(&fault_lock);
	for (unsigned i = 0; i < IOMMU_FAULTS_STORM && iommu->take_fault(&f); i++) {
		take_fault(&f);
	}
	iommu_faults_forget(&faults, bdf);
	lock_drop(&fault_lock);
}

/* The boot CPU does it, as what follows a unit's interrupt. */
uint64_t iommu_watch(void)
{
	uint64_t until = atomic_load(&deaf_until), now = host_tsc();

	if (!until) {
		return UINT64_MAX;
	}
	if (now < until) {
		return until;
	}
	lapic_send(boot_apic_id, VECTOR_IOMMU);
	return now + host_tsc_hz / 10; /* its TSC may be behind this CPU's */
}

/* --- bring-up --- */

bool iommu_start(const struct boot_info *b, const struct acpi_info *a, struct refusal *r)
{
	static struct iommu_machine machine;
	struct refusal none = {0};

	machine = (struct iommu_machine){.acpi = a,
					 .map = paging_map_firmware,
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
	boot_apic_id = lapic_id();
	iommu->fault_interrupt(boot_apic_id, VECTOR_IOMMU);
	return true;
}
