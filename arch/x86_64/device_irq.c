/*
 * Interrupts of passed-through devices on their way to hv/passthrough_irq.c: vectors and lines. See
 * irq.h and hv/host.h. What lines there are is set at boot and constant.
 */
#include "arch/x86_64/irq.h"
#include "arch/x86_64/percpu.h"
#include "drivers/ioapic.h"
#include "hv/host.h"
#include "hv/passthrough.h"

enum { ISA_IRQS = 16 };
_Static_assert(VECTOR_DEVICE_FIRST == (int)HOST_VECTOR_DEVICE_FIRST &&
		       VECTOR_DEVICE_LAST == (int)HOST_VECTOR_DEVICE_LAST,
	       "hv/host.h says the same");

static const struct acpi_info *acpi;
static uint32_t gsi_of[ISA_IRQS];

static void device_interrupt(uint8_t vector)
{
	passthrough_interrupt(this_cpu()->vcpu, vector);
}

void device_irq_init(const struct acpi_info *a)
{
	acpi = a;
	for (unsigned v = VECTOR_DEVICE_FIRST; v <= VECTOR_DEVICE_LAST; v++) {
		irq_handle((uint8_t)v, device_interrupt);
	}
}

uint32_t host_apic_id(unsigned cpu)
{
	return percpu_of[cpu]->apic_id;
}

/* PCI's lines are active low unless the firmware says otherwise. */
bool host_line_open(uint8_t irq, unsigned cpu, uint8_t vector)
{
	bool level, low = true, told = false;

	if (irq >= ISA_IRQS) {
		return false;
	}
	for (unsigned i = 0; i < acpi->overrides; i++) {
		told |= acpi->override[i].irq == irq;
	}
	gsi_of[irq] = ioapic_isa(acpi, irq, &level, &low);
	return ioapic_route_masked(gsi_of[irq], host_apic_id(cpu), vector, true, !told || low);
}

void host_line_mask(uint8_t irq, bool masked)
{
	ioapic_mask(gsi_of[irq], masked);
}
