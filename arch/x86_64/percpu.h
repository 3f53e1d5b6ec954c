/*
 * What belongs to one physical CPU. GS base points at it; the boot CPU's is static, the others are
 * made before they start. Only the owner writes it, but for fields marked atomic.
 */
#pragma once

#include "hv/limits.h"
#include "hv/vcpu.h"

struct percpu {
	struct percpu *self;	 /* offset 0: mov rax, [gs:0] */
	uint64_t stack_top;	 /* offset 8: for AP start and the VMX host RSP */
	unsigned cpu;		 /* index, 0 is the boot CPU */
	uint32_t apic_id;	 /* of the physical LAPIC */
	struct vcpu *vcpu;	 /* the vCPU this CPU runs, or NULL */
	uint64_t irq_count[256]; /* physical interrupts taken, by vector */
	uint64_t nmi_count;
	void *virt;		 /* VMXON region or host save area of this CPU */
	hpa_t virt_hpa;
};

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;
	__asm__ volatile("mov %%gs:0, %0" : "=r"(p));
	return p;
}

extern struct percpu *percpu_of[MAX_CPUS]; /* by index, NULL: no such CPU */

/*
 * A physical interrupt arrived on this CPU, interrupts off: from the IDT stubs, and from the VMX
 * backend with the vector that the exit acknowledged. Dispatches to its handler and sends the EOI.
 */
void irq_dispatch(uint8_t vector);
typedef void (*irq_handler)(uint8_t vector);
void irq_handle(uint8_t vector, irq_handler h); /* boot CPU, before CPUs start */

/*
 * A physical NMI: from the IDT stub, and from both backends on an NMI exit. Counts it; it is a kick
 * if the CPU's vCPU has requests, else it is logged.
 */
void nmi_dispatch(void);

/* Host vectors. 0x20-0x2f are reserved for spurious 8259 interrupts. */
enum { VECTOR_PIC_FIRST = 0x20, VECTOR_UART = 0x30, VECTOR_DEVICE_FIRST = 0x40,
       VECTOR_DEVICE_LAST = 0xdf, VECTOR_TIMER = 0xe0, VECTOR_KICK = 0xe1, VECTOR_ERROR = 0xfe,
       VECTOR_SPURIOUS = 0xff };
