/*
 * Plain ELF64 images, without a multiboot header. Called by load_guest.
 *
 * The entry state, for whoever writes such a guest: 64-bit mode, the first 4 GiB mapped one to one,
 * segments at their physical addresses (p_paddr), interrupts off, RDI the address of the command
 * line (a string with NUL), RSI that of the ACPI RSDP (0: none), RSP the end of a stack of 16 KiB
 * as a C function finds it (RSP + 8 a multiple of 16), all other general registers 0. Tables, stack
 * and command line are in RAM that the memory map does not mark: copy what is to be kept.
 */
#include "hv/lib/string.h"
#include "hv/load/elf.h"

enum { TABLES = 7 * PAGE_SIZE, STACK = 4 * PAGE_SIZE };

static bool place_environment(struct load_plan *p, struct vcpu_regs *regs, uint64_t entry)
{
	const char *cmdline = p->img->cmdline;
	size_t len = strlen(cmdline) + 1;
	uint64_t size = TABLES + STACK + ALIGN_UP(len, PAGE_SIZE), at;

	if (!plan_find(p, size, PAGE_SIZE, PAGE_SIZE, MIB(1), PLAN_HIGH, &at) &&
	    !plan_find(p, size, PAGE_SIZE, PAGE_SIZE, GIB(4), PLAN_LOW, &at)) {
		return plan_refuse(p, "no room for page tables, stack and command line");
	}
	memset(regs->gpr, 0, sizeof(regs->gpr));
	regs->gpr[RSP] = at + TABLES + STACK - 8;
	regs->gpr[RDI] = at + TABLES + STACK;
	regs->gpr[RSI] = p->img->rsdp.v;
	return plan_write(p, at + TABLES + STACK, cmdline, len) &&
	       load_state_long64(regs, p->as, gpa(at), entry, p->r);
}

bool elf64_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		struct refusal *r)
{
	struct load_plan p = {.img = img, .as = as, .r = r};
	uint64_t entry, low, high;
	struct elf_file e;

	if (!elf_open(&e, &p)) {
		return false;
	}
	if (!e.is64) {
		return plan_refuse(&p, "a 32-bit ELF file without a multiboot header");
	}
	if (e.type != ELF_EXEC) {
		return plan_refuse(&p, "e_type (offset 0x10) is %u: link it at fixed addresses",
				   e.type);
	}
	return elf_extent(&e, &p, &low, &high) && elf_entry(&e, &p, &entry) &&
	       elf_load(&e, &p, 0) && place_environment(&p, regs, entry);
}
