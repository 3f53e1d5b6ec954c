/*
 * GDT and TSS of each CPU: see gdt.h. Called by boot/main.c and smp.c; the state is in percpu.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/percpu.h"
#include "hv/msr_index.h"

#define TSS_BUSY BIT(41) /* type bit of the descriptor */

void gdt_make(struct percpu *p, const uint64_t ist_top[ISTS])
{
	uint64_t base = (uint64_t)&p->tss;
	uint64_t limit = sizeof(p->tss) - 1;

	for (unsigned i = 0; i < ISTS; i++) {
		p->tss.ist[i][0] = (uint32_t)ist_top[i];
		p->tss.ist[i][1] = (uint32_t)(ist_top[i] >> 32);
	}
	p->tss.io_map = sizeof(p->tss);
	p->gdt[0] = 0;
	p->gdt[SEL_CODE / 8] = 0x00af9b000000ffff; /* long, present, execute and read, accessed */
	p->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	p->gdt[SEL_TSS / 8] = limit | (base & FIELD(23, 0)) << 16 | 0x89ull << 40 |
			      (base & FIELD(31, 24)) << 32;
	p->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

void gdt_load(struct percpu *p)
{
	struct table_register r = {sizeof(p->gdt) - 1, (uint64_t)p->gdt};

	p->gdt[SEL_TSS / 8] &= ~TSS_BUSY;
	__asm__ volatile("lgdt %[gdt]\n\t"
			 "push %[code]\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %[data], %%ds\n\t"
			 "mov %[data], %%es\n\t"
			 "mov %[data], %%ss\n\t"
			 "mov %[null], %%fs\n\t"
			 "mov %[null], %%gs\n\t"
			 "ltr %w[tss]"
			 :
			 : [gdt] "m"(r), [code] "i"(SEL_CODE), [data] "r"(SEL_DATA), [null] "r"(0),
			   [tss] "r"(SEL_TSS)
			 : "rax", "memory");
	wrmsr(MSR_GS_BASE, (uint64_t)p);
}
