export * from '../../../browser/node_modules/lit-html/directives/keyed.js';
