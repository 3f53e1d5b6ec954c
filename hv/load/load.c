/*
 * Which loader an image wants, and the entry states that loaders share; see load.h.
 */
#include "hv/load/load.h"
#include "hv/lib/bytes.h"
#include "hv/load/plan.h"

struct loader {
	const char *name;
	bool (*probe)(const struct load_file *f);
	bool (*load)(const struct load_image *img, const struct addrspace *as,
		     struct vcpu_regs *regs, struct refusal *r);
	bool initrd, modules; /* does it take them? */
};

/*
 * In the order of probing: a Linux image's signature stands at one place, multiboot headers are
 * searched for and mostly stand in ELF files. A kernel with both multiboot headers gets 2.
 */
static const enum load_kind order[] = {LOAD_LINUX, LOAD_MULTIBOOT2, LOAD_MULTIBOOT1, LOAD_ELF64};

// clang-format off
static const struct loader loaders[] = {
	[LOAD_LINUX]      = {"Linux",       linux_probe,      linux_load,      true,  false},
	[LOAD_MULTIBOOT1] = {"multiboot 1", multiboot1_probe, multiboot1_load, false, true},
	[LOAD_MULTIBOOT2] = {"multiboot 2", multiboot2_probe, multiboot2_load, false, true},
	[LOAD_ELF64]      = {"ELF64",       elf_probe,        elf64_load,      false, false},
	[LOAD_FLAT]       = {"flat",        NULL,             flat_load,       false, false},
};
// clang-format on

static bool recognise(const struct load_image *img, enum load_kind *kind, struct refusal *r)
{
	if (img->flat) {
		*kind = LOAD_FLAT;
		return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		if (loaders[order[i]].probe(&img->kernel)) {
			*kind = order[i];
			return true;
		}
	}
	return refuse(r,
		      "%s: no known image: no Linux header at offset 0x202, no multiboot header in "
		      "the first 32 KiB, no ELF header; a flat image needs the keys load and entry",
		      img->kernel.name);
}

bool load_guest(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		enum load_kind *kind, struct refusal *r)
{
	const struct loader *l;

	if (!recognise(img, kind, r)) {
		return false;
	}
	l = &loaders[*kind];
	if (img->initrd.data && !l->initrd) {
		return refuse(r, "%s: an image of kind %s takes no initrd (%s)", img->kernel.name,
			      l->name, img->initrd.name);
	}
	if (img->modules && !l->modules) {
		return refuse(r, "%s: an image of kind %s takes no modules (%s)", img->kernel.name,
			      l->name, img->module[0].name);
	}
	return l->load(img, as, regs, r);
}

const char *load_kind_name(enum load_kind k)
{
	return (unsigned)k < ARRAY_SIZE(loaders) ? loaders[k].name : "unknown";
}

/* --- entry states --- */

enum {
	SEG_CODE = 0xb, /* execute, read, accessed */
	SEG_DATA = 0x3, /* read, write, accessed */
};

static void set_flat_segments(struct vcpu_regs *regs, uint32_t code_bits)
{
	const uint32_t common = SEG_S | SEG_P | SEG_G;
	const struct segment data = {
		.selector = LOAD_DS, .limit = ~0u, .ar = SEG_DATA | SEG_DB | common};

	regs->cs = (struct segment){
		.selector = LOAD_CS, .limit = ~0u, .ar = SEG_CODE | code_bits | common};
	regs->ss = regs->ds = regs->es = regs->fs = regs->gs = data;
}

void load_state_protected32(struct vcpu_regs *regs, uint64_t entry)
{
	set_flat_segments(regs, SEG_DB);
	regs->cr0 = CR0_PE | CR0_ET;
	regs->cr3 = 0;
	regs->cr4 = 0;
	regs->efer = 0;
	regs->rflags = RFLAGS_1;
	regs->rip = entry;
}

bool load_gdt(struct vcpu_regs *regs, const struct addrspace *as, gpa_t at, bool code64)
{
	/* Intel SDM vol. 3, "Segment Descriptors": flat, present, accessed. */
	const uint64_t gdt[LOAD_GDT_SIZE / 8] = {
		[LOAD_CS / 8] = code64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		[LOAD_DS / 8] = 0x00cf93000000ffff,
	};

	regs->gdtr = (struct dtable){.base = at.v, .limit = sizeof(gdt) - 1};
	return addrspace_write(as, at, gdt, sizeof(gdt));
}

enum { PTE_P = BIT(0), PTE_RW = BIT(1), PTE_PS = BIT(7), PT_ENTRIES = 512 };

/* PML4, PDPT, then one page directory for each of the 4 GiB. */
static void identity_map(uint8_t *tables, uint64_t at)
{
	put_le64(tables, (at + PAGE_SIZE) | PTE_P | PTE_RW);
	for (uint64_t gib = 0; gib < 4; gib++) {
		put_le64(tables + PAGE_SIZE + gib * 8,
			 (at + (2 + gib) * PAGE_SIZE) | PTE_P | PTE_RW);
	}
	for (uint64_t i = 0; i < 4ull * PT_ENTRIES; i++) {
		put_le64(tables + 2ull * PAGE_SIZE + i * 8, i * PAGE_2M | PTE_P | PTE_RW | PTE_PS);
	}
}

bool load_state_long64(struct vcpu_regs *regs, const struct addrspace *as, gpa_t tables,
		       uint64_t entry, struct refusal *r)
{
	uint8_t *p = addrspace_ptr(as, tables, 7ull * PAGE_SIZE);

	if (!p || (tables.v & PAGE_MASK)) {
		return refuse(r, "no RAM for the first page tables at 0x%lx", tables.v);
	}
	memset(p, 0, 7ull * PAGE_SIZE);
	identity_map(p, tables.v);
	set_flat_segments(regs, SEG_L);
	regs->cr0 = CR0_PE | CR0_ET | CR0_PG;
	regs->cr3 = tables.v;
	regs->cr4 = CR4_PAE;
	regs->efer = EFER_LME | EFER_LMA;
	regs->rflags = RFLAGS_1;
	regs->rip = entry;
	return load_gdt(regs, as, gpa(tables.v + 6ull * PAGE_SIZE), true);
}
