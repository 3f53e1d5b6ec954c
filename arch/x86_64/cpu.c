/*
 * This CPU's own state: see cpu.h; and the CPU part of hv/host.h. The boot CPU's percpu lives here.
 */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/fixup.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/pat.h"
#include "arch/x86_64/trap.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"
#include "hv/speculation.h"

enum { DR7_RESET = 0x400 };

extern char boot_stack_guard[], boot_stack_top[];

static struct percpu boot_cpu;
struct percpu *percpu_of[MAX_CPUS];

void cpu_init_boot(void)
{
	/* Until cpu_make_stacks: the stack that start.asm used, which lies below the guard page. */
	uint64_t early = (uint64_t)boot_stack_guard;
	uint64_t ist[ISTS] = {early, early, early};

	boot_cpu.self = &boot_cpu;
	boot_cpu.stack_top = (uint64_t)boot_stack_top;
	boot_cpu.deadline = UINT64_MAX;
	boot_cpu.state = CPU_READY;
	percpu_of[0] = &boot_cpu;
	gdt_make(&boot_cpu, ist);
	gdt_load(&boot_cpu);
	trap_init();
	trap_load();
}

void cpu_make_stacks(struct percpu *p)
{
	uint64_t ist[ISTS];
	uint64_t top = paging_map_stacks(p->cpu, ist);

	if (p != &boot_cpu) {
		p->stack_top = top;
	}
	gdt_make(p, ist);
}

struct percpu *cpu_make(unsigned cpu)
{
	struct percpu *p;
	hpa_t at;

	bug_on(!host_alloc(ALIGN_UP(sizeof(*p), (uint64_t)PAGE_SIZE), PAGE_SIZE, &at));
	p = host_ptr(at);
	p->self = p;
	p->cpu = cpu;
	p->deadline = UINT64_MAX;
	cpu_make_stacks(p);
	return p;
}

/* CR4 bits that make the hypervisor safer or that guests' state needs, where the CPU has them. */
static uint64_t wanted_cr4(void)
{
	uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE;
	uint32_t id[4];

	host_cpuid(1, 0, id);
	cr4 |= id[2] & BIT(26) ? CR4_OSXSAVE : 0;
	cpu_leaf(7, 0, id);
	cr4 |= id[EBX] & BIT(7) ? CR4_SMEP : 0;
	cr4 |= id[EBX] & BIT(20) ? CR4_SMAP : 0;
	cr4 |= id[ECX] & BIT(2) ? CR4_UMIP : 0;
	return cr4;
}

void cpu_set_control(void)
{
	write_cr0((read_cr0() | CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG) &
		  ~(uint64_t)(CR0_EM | CR0_TS | CR0_AM | CR0_NW | CR0_CD));
	write_cr4(wanted_cr4());
	/*
	 * SVME only where the SVM backend sets it; SCE is the guests' affair. With AIBRSE no guest
	 * chooses where branches are predicted to go here; the world switch keeps guests' EFER
	 * apart.
	 */
	wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA)) | EFER_NXE |
				(speculation_auto_ibrs() ? EFER_AIBRSE : 0));
	if (rdmsr(MSR_PAT) != PAT_OWN) {
		wrmsr(MSR_PAT, PAT_OWN);
		write_cr3(read_cr3()); /* no data was cached by entry 1, translations may be */
	}
	write_dr7(DR7_RESET); /* no breakpoints of the firmware's */
	simd_reset();
	cpu_make_lfence_serialize();
	cpu_stay_out_of_c1e();
}

void cpu_log_control(void)
{
	uint64_t cr4 = read_cr4();

	log_line("CPU: SMEP %s, SMAP %s, UMIP %s", cr4 & CR4_SMEP ? "on" : "absent",
		 cr4 & CR4_SMAP ? "on" : "absent", cr4 & CR4_UMIP ? "on" : "absent");
}

void cpu_halt(void)
{
	cli();
	for (;;) {
		__asm__ volatile("hlt");
	}
}

unsigned host_cpu(void)
{
	return this_cpu()->cpu;
}

uint64_t host_tsc(void)
{
	return rdtsc();
}

void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	cpuid(leaf, subleaf, out);
}

bool host_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t lo = 0, hi = 0, good;

	__asm__ volatile("xor %k[good], %k[good]\n"
			 "1:\n\t"
			 "rdmsr\n\t"
			 "mov $1, %k[good]\n"
			 "2:\n\t" FIXUP(1b, 2b)
			 : "+a"(lo), "+d"(hi), [good] "=&r"(good)
			 : "c"(msr)
			 : "memory");
	*value = (uint64_t)hi << 32 | lo;
	return good;
}

bool host_wrmsr(uint32_t msr, uint64_t value)
{
	uint32_t good;

	__asm__ volatile("xor %k[good], %k[good]\n"
			 "1:\n\t"
			 "wrmsr\n\t"
			 "mov $1, %k[good]\n"
			 "2:\n\t" FIXUP(1b, 2b)
			 : [good] "=&r"(good)
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
	return good;
}

/* The form with a memory operand does it, and a writable data segment is the fastest. */
void host_clear_buffers(void)
{
	uint16_t selector;

	__asm__ volatile("mov %%ss, %0\n\tverw %0" : "=m"(selector) : : "cc", "memory");
}

uint64_t host_xcr0_read(void)
{
	return xgetbv(0);
}

void host_xcr0_write(uint64_t value)
{
	xsetbv(0, value);
}

void host_relax(void)
{
	pause();
}

uint32_t host_in(uint16_t port, unsigned size)
{
	switch (size) {
	case 1: return in8(port);
	case 2: return in16(port);
	default: return in32(port);
	}
}

void host_out(uint16_t port, unsigned size, uint32_t value)
{
	switch (size) {
	case 1: out8(port, (uint8_t)value); break;
	case 2: out16(port, (uint16_t)value); break;
	default: out32(port, value);
	}
}

uint64_t host_mmio_read(const volatile void *at, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)at;
	case 2: return *(const volatile uint16_t *)at;
	case 4: return *(const volatile uint32_t *)at;
	default: return *(const volatile uint64_t *)at;
	}
}

void host_mmio_write(volatile void *at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
	case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
	case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
	default: *(volatile uint64_t *)at = value;
	}
}
