export * from '../../../browser/node_modules/lit-html/directives/live.js';
