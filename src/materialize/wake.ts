export { createWake, type Wake } from '../base/index.ts';
