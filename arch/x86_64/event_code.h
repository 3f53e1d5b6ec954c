/*
 * Events as both vendors encode them: VMX in the VM-entry interruption information and the
 * IDT-vectoring information, SVM in the low halves of EVENTINJ and EXITINTINFO. Pure.
 *
 * (Intel SDM vol. 3, "VM-Entry Controls for Event Injection"; AMD APM vol. 2, "Event Injection".)
 */
#pragma once

#include "hv/vcpu.h"

enum {
	EVENT_CODE_VECTOR = FIELD(7, 0),
	EVENT_CODE_TYPE = FIELD(10, 8),
	EVENT_CODE_ERROR = BIT(11), /* an error code goes with it */
};
#define EVENT_CODE_VALID BIT(31)

/* INT n, INT3, INTO and INT1 return behind the instruction, so its length must be known. */
static inline bool event_is_software(enum event_type t)
{
	return t == EVENT_SOFT_INT || t == EVENT_PRIV_SW || t == EVENT_SOFT_EXC;
}

static inline uint32_t event_encode(const struct event *e)
{
	return (uint32_t)(e->vector | (uint32_t)e->type << 8 |
			  (e->has_error ? EVENT_CODE_ERROR : 0) | EVENT_CODE_VALID);
}

/* Bits that have no meaning here (undefined, or reserved for injection) are dropped. */
static inline void event_decode(struct event *e, uint32_t code, uint32_t error)
{
	e->valid = (code & EVENT_CODE_VALID) != 0;
	e->type = (enum event_type)field_get(EVENT_CODE_TYPE, code);
	e->vector = (uint8_t)(code & EVENT_CODE_VECTOR);
	e->has_error = (code & EVENT_CODE_ERROR) != 0;
	e->error = e->has_error ? error : 0;
	e->insn_len = 0;
}
