/*
 * What belongs to one physical CPU. GS base points at it; the boot CPU's is static, the others are
 * made before they start. Only the owner writes it, but for fields marked atomic.
 */
#pragma once

#include "arch/x86_64/gdt.h"
#include "hv/limits.h"
#include "hv/vcpu.h"

/* How far a CPU has come; trampoline.asm takes it from STARTING to STARTED. */
enum cpu_state {
	CPU_GIVEN_UP, /* did not come in time; if it comes later, it halts */
	CPU_STARTING = 1,
	CPU_STARTED = 2,
	CPU_READY = 3, /* its tables and its LAPIC are set up */
};

typedef void (*cpu_job)(void *arg);

struct percpu {
	struct percpu *self;	 /* offset 0: mov rax, [gs:0] */
	uint64_t stack_top;	 /* offset 8: for AP start and the VMX host RSP */
	unsigned cpu;		 /* index, 0 is the boot CPU */
	uint32_t apic_id;	 /* of the physical LAPIC */
	_Atomic uint32_t state;	 /* offset 24: enum cpu_state */
	struct vcpu *vcpu;	 /* the vCPU this CPU runs, or NULL */
	uint64_t nmi_count;
	_Atomic uint64_t nmi_kicks; /* NMIs that host_kick has sent to this CPU */
	_Atomic(cpu_job) job;	    /* for the parked loop; NULL: none, or done */
	void *job_arg;
	uint64_t deadline; /* host_timer_set: TSC, UINT64_MAX for none */
	void *virt;	   /* VMXON region or host save area of this CPU */
	hpa_t virt_hpa;
	uint64_t gdt[GDT_ENTRIES];
	struct tss tss;
};
_Static_assert(offsetof(struct percpu, stack_top) == 8, "known to trampoline.asm");
_Static_assert(offsetof(struct percpu, state) == 24, "known to trampoline.asm");

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;
	__asm__ volatile("mov %%gs:0, %0" : "=r"(p));
	return p;
}

extern struct percpu *percpu_of[MAX_CPUS]; /* by index, NULL: no such CPU */

/*
 * Has CPU `cpu` call job(arg): at once if it is this one, else out of its parked loop. cpu_call
 * waits until it has returned; cpu_start does not, and job may never return. Boot CPU only.
 */
void cpu_call(unsigned cpu, cpu_job job, void *arg);
void cpu_start(unsigned cpu, cpu_job job, void *arg);

/*
 * A physical interrupt arrived on this CPU, interrupts off: from the IDT stubs, and from the VMX
 * backend with the vector that the exit acknowledged. Dispatches to its handler and sends the EOI.
 */
void irq_dispatch(uint8_t vector);
typedef void (*irq_handler)(uint8_t vector);
void irq_handle(uint8_t vector, irq_handler h); /* boot CPU, before CPUs start */

/*
 * A physical NMI: from the IDT stub, and from both backends on an NMI exit. Counts it; it is a kick
 * if host_kick sent one to this CPU, else it is logged.
 */
void nmi_dispatch(void);

/*
 * An NMI that interrupts this code at start <= RIP < end goes on at `abort` instead: for the last
 * check before an entry that does not hold NMIs back. Set once, before any CPU runs that code.
 */
void nmi_set_restart(uint64_t start, uint64_t end, uint64_t abort);

/* Host vectors. 0x20-0x2f are reserved for spurious 8259 interrupts. */
enum {
	VECTOR_PIC_FIRST = 0x20,
	VECTOR_UART = 0x30,
	VECTOR_KEYBOARD = 0x31,
	VECTOR_DEVICE_FIRST = 0x40,
	VECTOR_DEVICE_LAST = 0xdf,
	VECTOR_TIMER = 0xe0,
	VECTOR_KICK = 0xe1,
	VECTOR_IOMMU = 0xe2,
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff
};
