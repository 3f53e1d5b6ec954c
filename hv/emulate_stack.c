/*
 * PUSH, POP, CALL and JMP whose operand is memory: the operand is MMIO, the stack usually RAM.
 * Called by emulate.c.
 */
#include "hv/emulate_part.h"

/* Bytes of the stack pointer that are used. */
static unsigned stack_size(const struct emulation *em)
{
	if (em->bits == 64) {
		return 8;
	}
	return em->v->regs.ss.ar & SEG_DB ? 4 : 2;
}

/* The place of `size` bytes at the stack pointer moved by `displace`. */
static enum emulate_result stack_at(struct emulation *em, int64_t displace, enum access access,
				    struct operand *out)
{
	uint64_t at = em->v->regs.gpr[RSP] + (uint64_t)displace;

	return operand_at(em, SEG_SS, at & alu_mask(stack_size(em)), em->d->size, access, out);
}

static void stack_move(struct emulation *em, int64_t displace)
{
	gpr_write(em, RSP, stack_size(em), em->v->regs.gpr[RSP] + (uint64_t)displace);
}

enum emulate_result emulate_push(struct emulation *em)
{
	int64_t size = em->d->size;
	struct operand from, to;
	enum emulate_result r = operand_own(em, 0, ACCESS_READ, &from);

	if (r == EMULATE_DONE) {
		r = stack_at(em, -size, ACCESS_WRITE, &to);
	}
	if (r == EMULATE_DONE) {
		operand_write(em, &to, operand_read(em, &from));
		stack_move(em, -size);
	}
	return r;
}

/* An address that uses RSP sees it as it is after the pop. */
enum emulate_result emulate_pop(struct emulation *em)
{
	int64_t size = em->d->size;
	struct operand from, to;
	enum emulate_result r = stack_at(em, 0, ACCESS_READ, &from);

	if (r == EMULATE_DONE) {
		r = operand_own(em, em->d->base == RSP ? size : 0, ACCESS_WRITE, &to);
	}
	if (r == EMULATE_DONE) {
		operand_write(em, &to, operand_read(em, &from));
		stack_move(em, size);
	}
	return r;
}

static bool target_valid(const struct emulation *em, uint64_t target)
{
	return em->bits == 64 ? operand_canonical(em, target) : target <= em->v->regs.cs.limit;
}

enum emulate_result emulate_branch(struct emulation *em)
{
	const struct decoded *d = em->d;
	struct vcpu_regs *regs = &em->v->regs;
	bool call = d->op == OP_CALL;
	struct operand from, to;
	uint64_t target;
	enum emulate_result r = operand_own(em, 0, ACCESS_READ, &from);

	if (r == EMULATE_DONE && call) {
		r = stack_at(em, -(int64_t)d->size, ACCESS_WRITE, &to);
	}
	if (r != EMULATE_DONE) {
		return r;
	}
	target = operand_read(em, &from);
	if (!target_valid(em, target)) {
		return emulate_gp0(em);
	}
	if (call) {
		operand_write(em, &to, regs->rip + d->len);
		stack_move(em, -(int64_t)d->size);
	}
	regs->rip = target;
	vcpu_touch(em->v, GROUP_RIP);
	em->advance = 0;
	return EMULATE_DONE;
}
