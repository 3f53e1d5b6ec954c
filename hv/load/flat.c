/*
 * Flat images: bytes at the configured address, entered in real mode. Called by load_guest.
 *
 * CS is the entry's paragraph, IP what is left; all other registers keep their reset state. Such an
 * image may also lie where the memory map says "reserved", for that is what its owner wrote; what
 * it covers there, ACPI tables for one, is gone.
 */
#include "hv/load/plan.h"

bool flat_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
	       struct refusal *r)
{
	const struct load_file *f = &img->kernel;
	uint64_t load = img->flat_load, entry = img->flat_entry;

	if (!f->size) {
		return refuse(r, "%s: the file is empty", f->name);
	}
	if (entry >= MIB(1)) {
		return refuse(r, "%s: entry 0x%lx is out of real mode's reach (1 MiB)", f->name,
			      entry);
	}
	if (entry < load || entry - load >= f->size) {
		return refuse(r, "%s: entry 0x%lx is outside the image (0x%lx+0x%lx)", f->name,
			      entry, load, f->size);
	}
	if (!addrspace_write(as, gpa(load), f->data, f->size)) {
		return refuse(r, "%s: 0x%lx+0x%lx is not all RAM of this guest", f->name, load,
			      f->size);
	}
	regs->cs.selector = (uint16_t)(entry >> 4);
	regs->cs.base = entry & ~0xfull;
	regs->rip = entry & 0xf;
	return true;
}
